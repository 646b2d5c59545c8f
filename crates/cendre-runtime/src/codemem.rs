//! Memory for machine code: arenas that are writable or executable, never both.
//!
//! Invariant: an arena is executable except inside [`CodeMemory::store`], which runs with the GIL held. Machine code runs
//! with the GIL held too, so nobody can be inside an arena while it is writable; another thread that has a body on its
//! stack comes back to it only with the GIL. Bounded by the configured limit.

use std::ptr::NonNull;

/// Bytes that one arena has at least: large enough that a change of protection is rare, small enough to be given back.
const ARENA: usize = 256 << 10;
/// Bodies begin at such addresses.
const ALIGN: usize = 32;

struct Arena {
    base: NonNull<u8>,
    size: usize,
    /// Free ranges (offset, length), sorted by offset, never adjacent.
    free: Vec<(usize, usize)>,
}

/// All arenas.
#[derive(Default)]
pub struct CodeMemory {
    arenas: Vec<Arena>,
    used: usize,
    mapped: usize,
}

/// A piece of code memory; give it back with [`CodeMemory::free`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    pub address: usize,
    pub size: usize,
}

/// Why there is no code memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryError {
    /// The configured limit is reached.
    Limit,
    /// The system refuses executable memory.
    Refused,
}

impl CodeMemory {
    /// No memory yet.
    pub const fn new() -> CodeMemory {
        CodeMemory { arenas: Vec::new(), used: 0, mapped: 0 }
    }

    /// Bytes in use.
    pub fn used(&self) -> usize {
        self.used
    }

    /// Bytes mapped.
    pub fn mapped(&self) -> usize {
        self.mapped
    }

    /// Copies code into an arena.
    ///
    /// # Errors
    /// [`MemoryError`]; nothing changes then.
    #[expect(clippy::indexing_slicing, reason = "indices that `position` and `fits` have just found")]
    pub fn store(&mut self, code: &[u8], limit: usize) -> Result<Piece, MemoryError> {
        let size = code.len().next_multiple_of(ALIGN);
        if self.used + size > limit {
            return Err(MemoryError::Limit);
        }
        let arena = match self.arenas.iter().position(|a| a.fits(size).is_some()) {
            Some(i) => &mut self.arenas[i],
            None => {
                let arena = Arena::map(size)?;
                self.mapped += arena.size;
                self.arenas.push(arena);
                self.arenas.last_mut().ok_or(MemoryError::Refused)?
            }
        };
        let range = arena.fits(size).ok_or(MemoryError::Refused)?;
        if !arena.protect(libc::PROT_READ | libc::PROT_WRITE) {
            return Err(MemoryError::Refused);
        }
        let (offset, length) = arena.free[range];
        // SAFETY: the free range lies inside the arena, which is writable now and which nobody executes (see above).
        let address = unsafe {
            let to = arena.base.as_ptr().add(offset);
            std::ptr::copy_nonoverlapping(code.as_ptr(), to, code.len());
            to as usize
        };
        if !arena.protect(libc::PROT_READ | libc::PROT_EXEC) {
            // Code of others lies in there: without it nothing can go on.
            std::process::abort();
        }
        if length == size {
            arena.free.remove(range);
        } else {
            arena.free[range] = (offset + size, length - size);
        }
        self.used += size;
        Ok(Piece { address, size })
    }

    /// Gives a piece back. Nobody executes it any more.
    #[expect(clippy::indexing_slicing, reason = "an index that `position` has just found")]
    pub fn free(&mut self, piece: Piece) {
        let Some(i) = self.arenas.iter().position(|a| a.contains(piece.address)) else { return };
        self.used -= piece.size;
        let arena = &mut self.arenas[i];
        arena.give_back(piece.address - arena.base.as_ptr() as usize, piece.size);
        if arena.free == [(0, arena.size)] {
            let arena = self.arenas.swap_remove(i);
            self.mapped -= arena.size;
            // SAFETY: mapped by `Arena::map`, and no piece of it is in use.
            unsafe { libc::munmap(arena.base.as_ptr().cast(), arena.size) };
        }
    }
}

impl Arena {
    fn map(at_least: usize) -> Result<Arena, MemoryError> {
        let size = at_least.max(ARENA).next_multiple_of(64 << 10);
        let protection = libc::PROT_READ | libc::PROT_EXEC;
        // SAFETY: a fresh anonymous mapping overlaps nothing.
        let p = unsafe { libc::mmap(std::ptr::null_mut(), size, protection, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0) };
        if p == libc::MAP_FAILED {
            return Err(MemoryError::Refused);
        }
        let base = NonNull::new(p.cast()).ok_or(MemoryError::Refused)?;
        Ok(Arena { base, size, free: vec![(0, size)] })
    }

    fn fits(&self, size: usize) -> Option<usize> {
        self.free.iter().position(|r| r.1 >= size)
    }

    fn contains(&self, address: usize) -> bool {
        let base = self.base.as_ptr() as usize;
        address >= base && address < base + self.size
    }

    fn protect(&self, protection: i32) -> bool {
        // SAFETY: the whole of our own mapping.
        unsafe { libc::mprotect(self.base.as_ptr().cast(), self.size, protection) == 0 }
    }

    #[expect(clippy::indexing_slicing, reason = "`at` is where the range was inserted; its neighbours are looked for first")]
    fn give_back(&mut self, offset: usize, size: usize) {
        let at = self.free.partition_point(|r| r.0 < offset);
        self.free.insert(at, (offset, size));
        if at + 1 < self.free.len() && self.free[at].0 + self.free[at].1 == self.free[at + 1].0 {
            self.free[at].1 += self.free.remove(at + 1).1;
        }
        if at > 0 && self.free[at - 1].0 + self.free[at - 1].1 == self.free[at].0 {
            self.free[at - 1].1 += self.free.remove(at).1;
        }
    }
}

/// Appends a line to `perf-<pid>.map` in the temporary directory, where `perf report` looks for names of code that no file holds.
pub fn perf_map(piece: Piece, name: &str) {
    use std::io::Write;
    let path = std::env::temp_dir().join(format!("perf-{}.map", std::process::id()));
    if let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(path) {
        // A map is a convenience: an unwritable directory is no reason to disturb the program.
        let _ = writeln!(file, "{:x} {:x} cendre:{name}", piece.address, piece.size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_reused_and_arenas_given_back() {
        let mut m = CodeMemory::new();
        let a = m.store(&[0xc3; 100], 1 << 20).unwrap();
        let b = m.store(&[0xc3; 100], 1 << 20).unwrap();
        let c = m.store(&[0xc3; 100], 1 << 20).unwrap();
        assert_eq!((b.address - a.address, m.used()), (128, 384));
        m.free(b);
        m.free(a);
        let d = m.store(&[0xc3; 200], 1 << 20).unwrap();
        assert_eq!(d.address, a.address);
        m.free(c);
        m.free(d);
        assert_eq!((m.used(), m.mapped()), (0, 0));
    }

    #[test]
    fn the_limit_holds() {
        let mut m = CodeMemory::new();
        assert_eq!(m.store(&[0; 4096], 1000), Err(MemoryError::Limit));
        let big = m.store(&vec![0x90; 1 << 20], 2 << 20).unwrap();
        assert!(m.mapped() >= 1 << 20);
        m.free(big);
    }

    #[test]
    fn stored_code_runs() {
        // mov eax, edi; inc eax; ret
        let mut m = CodeMemory::new();
        let p = m.store(&[0x89, 0xf8, 0xff, 0xc0, 0xc3], 1 << 20).unwrap();
        // SAFETY: the five bytes are a function of that type on x86-64.
        let f: extern "C" fn(i32) -> i32 = unsafe { std::mem::transmute(p.address) };
        assert_eq!(f(41), 42);
    }
}
