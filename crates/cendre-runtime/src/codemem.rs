//! Memory for machine code: arenas that are writable or executable, never both.
//!
//! Invariant: an arena is executable except inside [`CodeMemory::store`], which runs with the GIL held. Machine code runs
//! with the GIL held too, so nobody can be inside an arena while it is writable; another thread that has a body on its
//! stack comes back to it only with the GIL. Bounded by the configured limit. Arenas lie near the library if they can, so that machine code calls it directly.

use cendre_codegen::Code;
use std::ptr::NonNull;

/// Bytes that one arena has at least: large enough that a change of protection is rare, small enough to be given back.
const ARENA: usize = 256 << 10;
/// Bodies begin at such addresses.
const ALIGN: usize = 32;
/// Arenas lie so near to the library where they can: half of what a call reaches, since the library has its size and what lies around it is of use as well.
const REACH: usize = 1 << 30;

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
    /// What arenas are to lie near to; 0: not known yet.
    anchor: usize,
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
        CodeMemory { arenas: Vec::new(), used: 0, mapped: 0, anchor: 0 }
    }

    /// Bytes in use.
    pub fn used(&self) -> usize {
        self.used
    }

    /// Bytes mapped.
    pub fn mapped(&self) -> usize {
        self.mapped
    }

    /// Copies code into an arena, and leads its calls from there to what they call. What calls take beside the code counts as the code does.
    ///
    /// # Errors
    /// [`MemoryError`]; nothing changes then.
    #[expect(clippy::indexing_slicing, reason = "indices that `find` and `fits` have just found")]
    pub fn store(&mut self, code: &Code, limit: usize) -> Result<Piece, MemoryError> {
        let largest = code.largest().next_multiple_of(ALIGN);
        if self.used + largest > limit {
            return Err(MemoryError::Limit);
        }
        let index = match self.find(largest) {
            Some(i) => i,
            None => {
                let arena = self.map(largest)?;
                self.mapped += arena.size;
                self.arenas.push(arena);
                self.arenas.len() - 1
            }
        };
        let arena = &mut self.arenas[index];
        let range = arena.fits(largest).ok_or(MemoryError::Refused)?;
        let (offset, length) = arena.free[range];
        let bytes = code.at(arena.base.as_ptr() as usize + offset);
        let size = bytes.len().next_multiple_of(ALIGN);
        if size > length || !arena.protect(libc::PROT_READ | libc::PROT_WRITE) {
            return Err(MemoryError::Refused);
        }
        // SAFETY: the free range lies inside the arena, which is writable now and which nobody executes (see above).
        let address = unsafe {
            let to = arena.base.as_ptr().add(offset);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
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

    /// An arena with so much room, a near one if there is one.
    fn find(&self, size: usize) -> Option<usize> {
        let fits = |near: bool| {
            self.arenas.iter().position(|a| is_near(self.anchor, a.base.as_ptr() as usize, a.size) == near && a.fits(size).is_some())
        };
        fits(true).or_else(|| fits(false))
    }

    /// A new arena, near the anchor if the system has a place there. It takes hints: an address that is in use gets another one, which may do as well.
    fn map(&mut self, at_least: usize) -> Result<Arena, MemoryError> {
        if self.anchor == 0 {
            self.anchor = library();
        }
        let size = at_least.max(ARENA).next_multiple_of(64 << 10);
        for hint in self.hints(size) {
            let arena = Arena::map(hint, size)?;
            if hint == 0 || is_near(self.anchor, arena.base.as_ptr() as usize, size) {
                return Ok(arena);
            }
            arena.unmap();
        }
        Err(MemoryError::Refused)
    }

    /// Where to ask for an arena: beside the one that came last; below the library, where the system puts other libraries next, but leaves room for many;
    /// above it, last since the main thread's stack may want to grow there; then anywhere.
    fn hints(&self, size: usize) -> Vec<usize> {
        let page = 64 << 10;
        let around = self.anchor.next_multiple_of(page);
        let beside = self.arenas.last().map(|a| (a.base.as_ptr() as usize).wrapping_sub(size));
        let distances = [64, 128, 256, 384, 512, 640, 768, 896].map(|mib: usize| mib << 20);
        let below = distances.iter().filter_map(|d| around.checked_sub(d + size));
        let above = distances.iter().filter_map(|d| around.checked_add(*d));
        beside.into_iter().chain(below).chain(above).chain([0]).collect()
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
            arena.unmap();
        }
    }
}

/// Whether everything within an arena's size of the anchor can be called from the whole arena: half of what a call reaches.
fn is_near(anchor: usize, base: usize, size: usize) -> bool {
    anchor.abs_diff(base) <= REACH && anchor.abs_diff(base.saturating_add(size)) <= REACH
}

/// An address in the library whose functions machine code calls; for tests (`_CENDRE_TEST_FAR=1`) one that is too far from it.
fn library() -> usize {
    let here = library as *const () as usize;
    let far = std::env::var_os("_CENDRE_TEST_FAR").is_some_and(|v| v == "1");
    if far { here.saturating_sub(16 << 30) } else { here }
}

impl Arena {
    /// A new mapping; the address is a wish, 0 is none.
    fn map(hint: usize, size: usize) -> Result<Arena, MemoryError> {
        let protection = libc::PROT_READ | libc::PROT_EXEC;
        let hint = std::ptr::without_provenance_mut(hint);
        // SAFETY: without MAP_FIXED a fresh anonymous mapping overlaps nothing, whatever the hint.
        let p = unsafe { libc::mmap(hint, size, protection, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0) };
        if p == libc::MAP_FAILED {
            return Err(MemoryError::Refused);
        }
        let base = NonNull::new(p.cast()).ok_or(MemoryError::Refused)?;
        Ok(Arena { base, size, free: vec![(0, size)] })
    }

    /// Gives the mapping back.
    fn unmap(self) {
        // SAFETY: mapped by `Arena::map`, and no piece of it is in use.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.size) };
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

    fn plain(size: usize) -> Code {
        Code::new(vec![0xc3; size])
    }

    extern "C" fn add_one(n: i32) -> i32 {
        n + 1
    }

    extern "C" fn add_two(n: i32) -> i32 {
        n + 2
    }

    /// `add_two(add_one(add_one(n)))`: push rbp; three calls, a move behind each; pop rbp; ret.
    fn calls() -> Code {
        let mut bytes = vec![0x55];
        let mut at = Vec::new();
        for _ in 0..3 {
            bytes.push(0xe8);
            at.push(bytes.len() as u32);
            // The distance; mov edi, eax.
            bytes.extend([0, 0, 0, 0, 0x89, 0xc7]);
        }
        bytes.extend([0x5d, 0xc3]);
        let mut code = Code::new(bytes);
        for (at, target) in at.into_iter().zip([add_one, add_one, add_two] as [extern "C" fn(i32) -> i32; 3]) {
            code.call(at, target as usize as u64);
        }
        code
    }

    fn run(p: Piece, n: i32) -> i32 {
        // SAFETY: the tests that come here have stored a function of that type for x86-64.
        let f: extern "C" fn(i32) -> i32 = unsafe { std::mem::transmute(p.address) };
        f(n)
    }

    fn distance(p: Piece) -> usize {
        p.address.abs_diff(add_one as *const () as usize)
    }

    #[test]
    fn pieces_are_reused_and_arenas_given_back() {
        let mut m = CodeMemory::new();
        let a = m.store(&plain(100), 1 << 20).unwrap();
        let b = m.store(&plain(100), 1 << 20).unwrap();
        let c = m.store(&plain(100), 1 << 20).unwrap();
        assert_eq!((b.address - a.address, m.used()), (128, 384));
        m.free(b);
        m.free(a);
        let d = m.store(&plain(200), 1 << 20).unwrap();
        assert_eq!(d.address, a.address);
        m.free(c);
        m.free(d);
        assert_eq!((m.used(), m.mapped()), (0, 0));
    }

    #[test]
    fn the_limit_holds() {
        let mut m = CodeMemory::new();
        assert_eq!(m.store(&plain(4096), 1000), Err(MemoryError::Limit));
        let big = m.store(&plain(1 << 20), 2 << 20).unwrap();
        assert!(m.mapped() >= 1 << 20);
        m.free(big);
    }

    #[test]
    fn stored_code_runs() {
        // mov eax, edi; inc eax; ret
        let mut m = CodeMemory::new();
        let p = m.store(&Code::new(vec![0x89, 0xf8, 0xff, 0xc0, 0xc3]), 1 << 20).unwrap();
        assert_eq!(run(p, 41), 42);
    }

    #[test]
    fn code_near_the_library_calls_it_directly() {
        let mut m = CodeMemory::new();
        let p = m.store(&calls(), 1 << 20).unwrap();
        assert!(distance(p) <= REACH, "{p:x?}");
        assert_eq!((p.size, run(p, 5)), (32, 9));
    }

    /// Arenas that lie elsewhere: what they call is reached by islands, which count and go with the code.
    #[test]
    fn far_code_calls_by_islands_which_count() {
        let mut m = CodeMemory { anchor: library() - (16 << 30), ..CodeMemory::new() };
        assert_eq!((m.store(&calls(), 32 + 31), m.mapped()), (Err(MemoryError::Limit), 0));
        let a = m.store(&calls(), 64).unwrap();
        assert!(distance(a) > 2 * REACH, "{a:x?}");
        assert_eq!((a.size, m.used(), run(a, 5)), (64, 64, 9));
        let b = m.store(&calls(), 1 << 20).unwrap();
        m.free(a);
        let c = m.store(&calls(), 1 << 20).unwrap();
        assert_eq!((c, b.address - c.address, run(b, 1), run(c, 2)), (a, 64, 5, 6));
        m.free(b);
        m.free(c);
        assert_eq!((m.used(), m.mapped()), (0, 0));
    }

    /// One that is not near where no place is free there: it works, and later code still goes to near ones where there is room.
    #[test]
    fn any_place_will_do() {
        // No place of a process is that high, and 0 is given to nobody.
        let mut m = CodeMemory { anchor: usize::MAX - (4 << 30), ..CodeMemory::new() };
        let far = m.store(&calls(), 1 << 20).unwrap();
        assert_eq!(run(far, 5), 9);
        m.anchor = library();
        assert_eq!(m.find(32), Some(0));
        let big = m.store(&plain(2 * ARENA), 1 << 20).unwrap();
        assert!(distance(big) <= REACH);
        m.free(big);
        m.free(far);
        assert_eq!(m.mapped(), 0);
    }

    #[test]
    fn many_arenas_find_near_places() {
        let mut m = CodeMemory::new();
        let pieces: Vec<Piece> = (0..64).map(|_| m.store(&plain(ARENA), usize::MAX).unwrap()).collect();
        assert!(pieces.iter().all(|p| distance(*p) <= REACH), "{pieces:x?}");
        for p in pieces {
            m.free(p);
        }
    }
}
