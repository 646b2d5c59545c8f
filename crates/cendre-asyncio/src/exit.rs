//! `TaskGroup.__aexit__` natively: the end of an `async with` whose children end while it waits.
//!
//! The CALL answers with an object that only the SEND behind it sees. There the group's end is done as `_aexit` does it, and the wait for its children
//! is the wait of the exact rule or of the family (`early.rs`). Where the task goes on without having suspended, no coroutine was ever needed. Where it must
//! suspend, the two coroutines of asyncio's code are made as they would stand by then, and take the object's place on the stack of the frame that waits. For whatever is
//! unusual asyncio's own coroutine takes that place, and runs.
//!
//! Invariant: outside of this file nobody holds such an object, but the frame between that CALL and the end of that SEND; what can be seen of a task that
//! waits are asyncio's own coroutines. Read docs/internals/tasks.md, "The end of a group".

use crate::early::{self, Await};
use crate::family;
use crate::fanout;
use crate::front;
use crate::future;
use crate::group::{self, Group};
use crate::layout::FutureObj;
use crate::state::{self, Bound, Counter, LoopState, Policy};
use cendre_cpython::FunctionObject;
use cendre_cpython::code::{CodeObject, CodeUnit};
use cendre_cpython::ffi::{self, PyObject, PyTypeObject};
use cendre_cpython::freelist;
use cendre_cpython::genobject::{GenObject, frame_state};
use cendre_cpython::interpframe::{Frame, frame_owner};
use cendre_cpython::refcount::{decref, new_ref, type_of, xdecref};
use cendre_cpython::stackref::StackRef;
use cendre_cpython::tstate::{ThreadState, ThreadStateImpl};
use cendre_runtime::{Gil, protocol};
use core::ffi::{c_int, c_void};
use core::ptr;

/// What the CALL answers.
#[repr(C)]
struct Exit {
    ob_base: PyObject,
    /// Owned; null once its end was begun.
    group: *mut PyObject,
    /// asyncio's coroutine, where it could not take this object's place; owned, or null.
    inner: *mut PyObject,
}

/// What `_aexit` and `__aexit__` are, and where they stand while they wait.
pub struct Code {
    /// The functions, held for ever, and their code objects.
    pub functions: [*mut PyObject; 2],
    pub codes: [*mut PyObject; 2],
    /// The RESUME behind the one YIELD_VALUE of each, in code units.
    pub resumes: [usize; 2],
    /// Every form of the CALL.
    pub calls: Vec<u8>,
    pub get_awaitable: u8,
}

impl Code {
    /// `TaskGroup.__aexit__`.
    pub fn function(&self) -> *mut FunctionObject {
        self.functions[OUTER].cast()
    }
}

const OUTER: usize = 0;
const INNER: usize = 1;

static CLASS: Gil<*mut PyTypeObject> = Gil::new(ptr::null_mut());

/// Arguments of the CALL at the end of an `async with`, with the function and the group: what lies on its frame's stack.
const ON_STACK: isize = 5;
/// Code units of a CALL with its caches.
const CALL_UNITS: usize = 4;
/// The argument of GET_AWAITABLE behind `__aexit__`.
const BEHIND_AEXIT: u8 = 2;

/// Whether the running frame is an interpreted coroutine at the CALL that ends an `async with`, so that it awaits what is answered, and nobody else sees it.
unsafe fn ends_with(b: &Bound, exit: &Code, ts: *mut ThreadState) -> bool {
    // SAFETY: the running thread's frame; behind a CALL and its caches there are instructions, the last of a code object being none. Compiled
    // frames have an empty stack.
    unsafe {
        let frame: *mut Frame = (*ts).current_frame;
        if frame.is_null() || (*frame).owner != frame_owner::GENERATOR {
            return false;
        }
        let used = (*frame).stackpointer.offset_from(Frame::stack_base(frame));
        if used < ON_STACK || used > (*(*frame).code()).co_stacksize as isize {
            return false;
        }
        let at: *const CodeUnit = (*frame).instr_ptr;
        let opcode = |n: usize| at.add(n).cast::<u8>().read();
        let send = opcode(CALL_UNITS + 2);
        exit.calls.contains(&opcode(0))
            && opcode(CALL_UNITS) == exit.get_awaitable
            && at.add(CALL_UNITS).cast::<u8>().add(1).read() == BEHIND_AEXIT
            && (send == b.opcode_send || send == b.opcode_send_gen)
    }
}

/// Whether it is likely that the group ends without a suspension.
unsafe fn is_worth_it(b: &Bound, ls: *mut LoopState, g: &Group) -> bool {
    // SAFETY: a live loop; a group's values.
    unsafe {
        if g.tasks().is_null() || !group::surely_holds(g.tasks()) {
            return !g.tasks().is_null() && group::surely_empty(g.tasks());
        }
        let nest = (*ls).nest;
        if nest.is_null() || (*ls).ready.is_null() {
            return false;
        }
        match (*ls).policy_of((*nest).task) {
            Policy::Off => false,
            Policy::Exact => front::head(b, ls).is_some_and(|(kind, _)| early::runs_here(ls, kind)),
            Policy::Family => family::has_children(ls, nest),
        }
    }
}

/// `TaskGroup.__aexit__(self, et, exc, tb)`.
pub unsafe extern "C" fn call(function: *mut PyObject, args: *const *mut PyObject, nargsf: usize, names: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with as many arguments as it says.
    unsafe {
        let b = &*state::bound();
        let awaited = nargsf & protocol::AWAITED != 0;
        if let Some(exit) = &b.fanout.exit
            && protocol::nargs(nargsf) == 4
            && (names.is_null() || ffi::PyTuple_GET_SIZE(names) == 0)
            && (1..4).all(|i| *args.add(i) == ffi::Py_None())
            && fanout::is_code(function, exit.codes[OUTER])
        {
            let ts = ThreadState::current();
            let looop = (*ts.cast::<ThreadStateImpl>()).asyncio_running_loop;
            let ls = if looop.is_null() { ptr::null_mut() } else { state::find(looop) };
            if !ls.is_null()
                && !(*ls).parts
                && type_of(*args) == b.fanout.group
                && let Some(g) = Group::of(b, *args)
                && is_worth_it(b, ls, &g)
                && (awaited || ends_with(b, exit, ts))
            {
                return if awaited { answer(b, exit, args) } else { new_exit(*args) };
            }
        }
        if awaited {
            return protocol::DECLINED;
        }
        (b.fanout.python)(function, args, nargsf, names)
    }
}

/// Compiled code awaits the end of a group: the answer of an awaited call.
unsafe fn answer(b: &Bound, exit: &Code, args: *const *mut PyObject) -> *mut PyObject {
    // SAFETY: the caller of an awaited call holds the arguments; the word before them is ours.
    unsafe {
        let group = *args;
        match end(b, exit, group, group) {
            End::Ended => {
                state::count(Counter::GroupsEnded);
                ffi::Py_None()
            }
            End::Raised => ptr::null_mut(),
            // asyncio's coroutine begins with what was done.
            End::Unusual => protocol::DECLINED,
            End::Suspended(future) => {
                let coroutines = both(b, exit, group, future);
                let coroutines = if coroutines.is_null() { later(group) } else { coroutines };
                if coroutines.is_null() {
                    return coroutines;
                }
                state::count(Counter::GroupsSuspended);
                *args.cast_mut().sub(1) = new_ref(b.marker);
                protocol::suspended(coroutines)
            }
        }
    }
}

/// Without memory for the coroutines: what looks at the group again when its task is resumed.
unsafe fn later(group: *mut PyObject) -> *mut PyObject {
    // SAFETY: a live group; an exception is set.
    unsafe {
        ffi::PyErr_Clear();
        new_exit(group)
    }
}

/// asyncio's two coroutines of a group that waits for this future (taken); new reference, null with an exception set.
unsafe fn both(b: &Bound, exit: &Code, group: *mut PyObject, future: *mut PyObject) -> *mut PyObject {
    // SAFETY: live objects.
    unsafe {
        let iterator = (*(*b.future).tp_as_async).am_await.map_or(ptr::null_mut(), |f| f(future));
        decref(future);
        let inner = waiting(b, exit, INNER, group, iterator);
        waiting(b, exit, OUTER, group, inner)
    }
}

/// One that died, without a reference to anything but its class; or null.
static SPARE: Gil<*mut Exit> = Gil::new(ptr::null_mut());

/// What the CALL answers; new reference, null with an exception set.
unsafe fn new_exit(group: *mut PyObject) -> *mut PyObject {
    // SAFETY: live objects; the spare one is nobody's.
    unsafe {
        let spare = if freelist::traced() { ptr::null_mut() } else { core::mem::replace(SPARE.get(), ptr::null_mut()) };
        let made: *mut Exit = if spare.is_null() {
            ffi::PyType_GenericAlloc(*CLASS.get(), 0).cast()
        } else {
            *spare.cast::<u64>() = 1; // The whole word, as `_Py_NewReference`.
            spare
        };
        if !made.is_null() {
            (*made).group = new_ref(group);
        }
        made.cast()
    }
}

/// A group whose end has nothing to raise, and that is looked at by nothing but asyncio's code.
unsafe fn usual<'b>(b: &'b Bound, ls: *mut LoopState, exit: &Code, group: *mut PyObject) -> Option<Group<'b>> {
    // SAFETY: live objects.
    unsafe {
        if type_of(group) != b.fanout.group
            || !group::is_as_bound(b)
            || !fanout::is_code(exit.functions[OUTER], exit.codes[OUTER])
            || !fanout::is_code(exit.functions[INNER], exit.codes[INNER])
        {
            return None;
        }
        let g = Group::of(b, group)?;
        let as_usual = g.is_its_own()
            && g.get(|s| s.entered) == ffi::Py_True()
            && g.get(|s| s.looop) == (*ls).looop
            && g.get(|s| s.on_completed) == ffi::Py_None()
            && g.holds_no_error()
            && !g.tasks().is_null()
            && !g.get(|s| s.parent_task).is_null()
            && !g.get(|s| s.exiting).is_null();
        as_usual.then_some(g)
    }
}

/// How the end of a group went.
enum End {
    Ended,
    /// Booked on this future (owned); the task must suspend now.
    Suspended(*mut PyObject),
    /// Nothing was done that asyncio's own coroutine would not begin with.
    Unusual,
    /// An exception is set; only without memory, or where a test left one of the rule's checks out.
    Raised,
}

/// `_aexit` and then `__aexit__` of a group that is held.
unsafe fn end(b: &Bound, exit: &Code, group: *mut PyObject, receiver: *mut PyObject) -> End {
    // SAFETY: the group is held; whatever runs may change it, so its values are looked for anew behind that.
    unsafe {
        let ts = ThreadState::current();
        let looop = (*ts.cast::<ThreadStateImpl>()).asyncio_running_loop;
        let ls = if looop.is_null() { ptr::null_mut() } else { state::find(looop) };
        if ls.is_null() || (*ls).parts || early::watched(ts) {
            return End::Unusual;
        }
        loop {
            let Some(g) = usual(b, ls, exit, group) else { return End::Unusual };
            g.set(|s| s.exiting, ffi::Py_True());
            if group::surely_empty(g.tasks()) {
                g.set(|s| s.parent_task, ffi::Py_None());
                g.set(|s| s.errors, ffi::Py_None());
                g.set(|s| s.base_error, ffi::Py_None());
                return End::Ended;
            }
            let nest = (*ls).nest;
            if !group::surely_holds(g.tasks()) || nest.is_null() || !(*ls).plain_create_future || !makes_futures(b) {
                return End::Unusual;
            }
            let policy = (*ls).policy_of((*nest).task);
            if policy == Policy::Off {
                return End::Unusual;
            }
            let future = new_future(b, ls);
            if future.is_null() {
                return End::Raised;
            }
            g.set(|s| s.on_completed, future);
            match early::wait(b, ls, policy, future.cast(), receiver) {
                Await::Stock => {
                    decref(future);
                    return End::Unusual;
                }
                Await::Value(value) => {
                    decref(value);
                    decref(future);
                    let own = Group::of(b, group).filter(|g| g.is_its_own());
                    if let Some(g) = own {
                        g.set(|s| s.on_completed, ffi::Py_None());
                    } else if ffi::PyObject_SetAttr(group, b.names.on_completed, ffi::Py_None()) != 0 {
                        return End::Raised;
                    }
                }
                Await::Suspended => return End::Suspended(future),
                Await::Raised => {
                    decref(future);
                    return End::Raised;
                }
            }
        }
    }
}

/// Whether `create_future` finds the class that it found at first.
unsafe fn makes_futures(b: &Bound) -> bool {
    // SAFETY: a cell that is kept.
    unsafe { *b.fanout.future_cell == b.future as usize }
}

/// `Future(loop=loop)` of a loop that is not in debug mode; new reference, null with an exception set.
unsafe fn new_future(b: &Bound, ls: *mut LoopState) -> *mut PyObject {
    // SAFETY: the new object's fields are zero, which is what a pending future's are, the loop apart.
    unsafe {
        let Some(alloc) = (*b.future).tp_alloc else { return ptr::null_mut() };
        let future = alloc(b.future, 0);
        if !future.is_null() {
            (*future.cast::<FutureObj>()).fut_loop = new_ref((*ls).looop);
        }
        future
    }
}

/// asyncio's coroutine of one of the two functions, as it stands while it waits for `receiver` (taken), or null with an exception set.
unsafe fn waiting(b: &Bound, exit: &Code, which: usize, group: *mut PyObject, receiver: *mut PyObject) -> *mut PyObject {
    #[expect(clippy::indexing_slicing, reason = "one of two")]
    // SAFETY: a function of this code, whose call builds the coroutine and runs nothing else. While it waits its stack holds what it waits for, and its
    // locals are the arguments and the one that was set to None.
    unsafe {
        let none = ffi::Py_None();
        let args = [group, none, none, none];
        let n = if which == OUTER { 4 } else { 3 };
        let coro = if receiver.is_null() { receiver } else { (b.fanout.python)(exit.functions[which], args.as_ptr(), n, ptr::null_mut()) };
        if coro.is_null() {
            xdecref(receiver);
            return coro;
        }
        let g: *mut GenObject = coro.cast();
        let frame = &raw mut (*g).gi_iframe;
        if which == INNER {
            *Frame::locals(frame).add(3) = StackRef::from_borrow(none);
        }
        let base = Frame::stack_base(frame);
        *base = StackRef::from_steal(receiver);
        (*frame).stackpointer = base.add(1);
        (*frame).instr_ptr = CodeObject::units((*frame).code()).add(exit.resumes[which]);
        (*g).gi_frame_state = frame_state::FRAME_SUSPENDED_YIELD_FROM;
        coro
    }
}

/// Puts another receiver (taken) in the place of this one in the frame that sends to it; false: it is not there, and nothing was done.
unsafe fn replace(receiver: *mut PyObject, by: *mut PyObject) -> bool {
    // SAFETY: the frame that runs stands at its SEND, with the receiver and what is sent on its stack; its reference goes to the caller's hands.
    unsafe {
        let frame: *mut Frame = (*ThreadState::current()).current_frame;
        if (*frame).owner >= frame_owner::INTERPRETER || (*frame).stackpointer.offset_from(Frame::stack_base(frame)) < 2 {
            return false;
        }
        let place = (*frame).stackpointer.sub(2);
        if (*place).is_tagged_int() || (*place).as_ptr() != receiver {
            return false;
        }
        *place = StackRef::from_steal(by);
        true
    }
}

/// The first SEND to such an object.
unsafe extern "C" fn iternext(this: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with an object of this class, behind `bind`.
    unsafe {
        let b = &*state::bound();
        let e: *mut Exit = this.cast();
        let Some(exit) = &b.fanout.exit else { return ptr::null_mut() };
        if !(*e).inner.is_null() {
            return resume((*e).inner);
        }
        let group = core::mem::replace(&mut (*e).group, ptr::null_mut());
        if group.is_null() {
            ffi::PyErr_SetString(ffi::PyExc_RuntimeError, c"cannot reuse already awaited coroutine".as_ptr());
            return group;
        }
        match end(b, exit, group, this) {
            End::Ended => {
                state::count(Counter::GroupsEnded);
                decref(group);
                ptr::null_mut()
            }
            End::Raised => {
                decref(group);
                ptr::null_mut()
            }
            End::Suspended(future) => {
                let outer = both(b, exit, group, future);
                if outer.is_null() || !replace(this, outer) {
                    // Without memory: what it waits for is looked at again when it is resumed.
                    ffi::PyErr_Clear();
                    xdecref(outer);
                    (*e).group = group;
                    return new_ref(b.marker);
                }
                state::count(Counter::GroupsSuspended);
                decref(group);
                decref(this);
                new_ref(b.marker)
            }
            End::Unusual => {
                let none = ffi::Py_None();
                let args = [group, none, none, none];
                let coro = (b.fanout.python)(exit.functions[OUTER], args.as_ptr(), 4, ptr::null_mut());
                decref(group);
                if coro.is_null() {
                    return coro;
                }
                if !replace(this, coro) {
                    (*e).inner = coro;
                    return resume(coro);
                }
                decref(this);
                resume(coro)
            }
        }
    }
}

/// Sends None to a coroutine: what it yields, or null as `tp_iternext` says it.
unsafe fn resume(coro: *mut PyObject) -> *mut PyObject {
    // SAFETY: a live coroutine.
    unsafe {
        let mut result = ptr::null_mut();
        match ffi::PyIter_Send(coro, ffi::Py_None(), &mut result) {
            ffi::PySendResult::PYGEN_RETURN => {
                if result != ffi::Py_None() {
                    cendre_cpython::api::_PyGen_SetStopIterationValue(result);
                }
                decref(result);
                ptr::null_mut()
            }
            ffi::PySendResult::PYGEN_NEXT => result,
            ffi::PySendResult::PYGEN_ERROR => ptr::null_mut(),
        }
    }
}

unsafe extern "C" fn itself(this: *mut PyObject) -> *mut PyObject {
    // SAFETY: a live object.
    unsafe { new_ref(this) }
}

/// As its coroutine's, which whoever throws into it asks for.
unsafe extern "C" fn attribute(this: *mut PyObject, name: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with an object of this class.
    unsafe {
        let inner = (*this.cast::<Exit>()).inner;
        ffi::PyObject_GenericGetAttr(if inner.is_null() { this } else { inner }, name)
    }
}

unsafe extern "C" fn dealloc(this: *mut PyObject) {
    // SAFETY: the last reference is gone.
    unsafe {
        let e: *mut Exit = this.cast();
        let group = (*e).group;
        if !group.is_null() {
            // An exception came before the SEND. asyncio's coroutine warns that it was never awaited.
            let raised = ffi::PyErr_GetRaisedException();
            if let Some(exit) = &(*state::bound()).fanout.exit {
                let none = ffi::Py_None();
                let args = [group, none, none, none];
                xdecref(((*state::bound()).fanout.python)(exit.functions[OUTER], args.as_ptr(), 4, ptr::null_mut()));
                ffi::PyErr_Clear();
            }
            decref(group);
            if !raised.is_null() {
                ffi::PyErr_SetRaisedException(raised);
            }
        }
        future::clear(&raw mut (*e).inner);
        if SPARE.get().is_null() && !freelist::traced() {
            (*e).group = ptr::null_mut();
            *SPARE.get() = e;
            return;
        }
        let class = type_of(this);
        ffi::PyObject_Free(this.cast());
        decref(class.cast());
    }
}

/// Makes the class; -1 with an exception set.
///
/// # Safety
/// The GIL is held.
pub unsafe fn make_class() -> c_int {
    // SAFETY: the caller's contract; CPython copies what the specification says.
    unsafe {
        let slot = |slot: c_int, function: *mut c_void| ffi::PyType_Slot { slot, pfunc: function };
        let mut slots = [
            slot(ffi::Py_am_await, itself as *mut c_void),
            slot(ffi::Py_tp_iter, itself as *mut c_void),
            slot(ffi::Py_tp_iternext, iternext as *mut c_void),
            slot(ffi::Py_tp_getattro, attribute as *mut c_void),
            slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
            slot(0, ptr::null_mut()),
        ];
        let mut spec = ffi::PyType_Spec {
            name: c"cendre.TaskGroupExit".as_ptr(),
            basicsize: size_of::<Exit>() as c_int,
            itemsize: 0,
            flags: (ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION) as _,
            slots: slots.as_mut_ptr(),
        };
        *CLASS.get() = ffi::PyType_FromSpec(&mut spec).cast();
        if CLASS.get().is_null() { -1 } else { 0 }
    }
}
