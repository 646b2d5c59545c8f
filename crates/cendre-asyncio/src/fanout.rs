//! `gather`, `TaskGroup` and `create_task` natively: the same tasks, futures, callbacks and closures, made and called without
//! asyncio's Python code.
//!
//! Invariant: a function here either has all the effects of the Python function whose place it takes, in the same order, or none, and
//! then that function runs. What it makes is what that function would have made; so either may go on with it at any point.
//! Read docs/internals/tasks.md, "Fan-out".

use crate::attrs::{self, Attr};
use crate::eager;
use crate::early;
use crate::family;
use crate::front;
use crate::future;
use crate::group;
use crate::layout::{FutureObj, TaskObj, bit, state as fut_state};
use crate::parts;
use crate::queue;
use crate::shelf;
use crate::sites::{self, Kind};
use crate::state::{self, Bound, Counter, LoopState};
use crate::step::{self, current_task};
use cendre_cpython::FunctionObject;
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::genobject::{GenObject, frame_state};
use cendre_cpython::refcount::{decref, incref, new_ref, type_of, xdecref};
use cendre_cpython::tstate::{LlistNode, ThreadState, ThreadStateImpl};
use core::ffi::c_int;
use core::ptr;
use rustc_hash::FxHashSet;

/// The cells of `_done_callback`, in the order of their names.
const CHILDREN: isize = 0;
const NFINISHED: isize = 1;
const NFUTS: isize = 2;
const OUTER: isize = 3;
const RETURN_EXCEPTIONS: isize = 4;
/// Their names, to be compared with the code object's.
pub const FREE: [&core::ffi::CStr; 5] = [c"children", c"nfinished", c"nfuts", c"outer", c"return_exceptions"];

/// The state of the loop that runs in this thread, if tasks may be made natively for it now, and whether they start at once.
pub unsafe fn natural(b: &Bound, ts: *mut ThreadState, looop: *mut PyObject) -> Option<(*mut LoopState, bool)> {
    // SAFETY: the running thread's state; the loop is alive or null.
    unsafe {
        let ls = if looop.is_null() { ptr::null_mut() } else { state::find(looop) };
        if ls.is_null()
            || !(*ls).plain_create_task
            || !(*ls).plain_call_soon
            || (*ts.cast::<ThreadStateImpl>()).asyncio_running_loop != looop
            || !(*ls).parts && early::watched(ts)
            || *b.fanout.task_cell != b.task as usize
        {
            return None;
        }
        if (*ls).parts {
            return if parts::makes_tasks(b, ls, ts) { Some((ls, false)) } else { None };
        }
        if (*ls).ready.is_null()
            || (*ls).thread != (*ts).id
            || attrs::own(b, ls, Attr::Debug) != ffi::Py_False() && attrs::truth(b, ls, Attr::Debug) != Some(false)
        {
            return None;
        }
        if attrs::own(b, ls, Attr::TaskFactory) == ffi::Py_None() {
            return Some((ls, false));
        }
        let factory = attrs::get(b, ls, Attr::TaskFactory);
        if factory.is_null() {
            ffi::PyErr_Clear();
            return None;
        }
        decref(factory);
        let eager = factory == b.fanout.eager_factory && is_code(factory, b.fanout.eager_factory_code);
        if eager || factory == ffi::Py_None() { Some((ls, eager)) } else { None }
    }
}

/// An attribute, new reference, or null without an exception.
pub unsafe fn get(o: *mut PyObject, name: *mut PyObject) -> *mut PyObject {
    // SAFETY: a live object.
    unsafe {
        let value = ffi::PyObject_GetAttr(o, name);
        if value.is_null() {
            ffi::PyErr_Clear();
        }
        value
    }
}

/// Whether this attribute is exactly True or False; None if neither.
unsafe fn flag(o: *mut PyObject, name: *mut PyObject) -> Option<bool> {
    // SAFETY: a live object; the reference is given back, True and False live for ever.
    unsafe {
        let value = get(o, name);
        xdecref(value);
        as_flag(value)
    }
}

pub unsafe fn as_flag(value: *mut PyObject) -> Option<bool> {
    // SAFETY: only compared.
    unsafe {
        if value == ffi::Py_True() {
            Some(true)
        } else if value == ffi::Py_False() {
            Some(false)
        } else {
            None
        }
    }
}

/// `Task(coro, loop=loop)`, with its first step in the queue or, if `eager`, behind it; new reference, null with an exception set.
pub unsafe fn new_task(
    b: &Bound,
    ls: *mut LoopState,
    ts: *mut ThreadState,
    coro: *mut PyObject,
    site: Option<usize>,
    eager: bool,
) -> *mut TaskObj {
    // SAFETY: an exact coroutine; the new object's fields are zero, and filled as `Task.__init__` fills them.
    unsafe {
        let t = shelf::new_task(b);
        if t.is_null() {
            return t;
        }
        (*t).fut.fut_loop = new_ref((*ls).looop);
        (*t).fut.is_task = 1;
        (*t).context = shelf::new_context(ts);
        if (*t).context.is_null() {
            decref(t.cast());
            return ptr::null_mut();
        }
        (*t).coro = new_ref(coro);
        *b.fanout.counter += 1;
        (*t).name = ffi::PyLong_FromUnsignedLongLong(*b.fanout.counter);
        if (*t).name.is_null() || !eager && front::put_step(b, ls, t) != 0 {
            decref(t.cast());
            return ptr::null_mut();
        }
        if !eager {
            family::born(ls, ts);
        }
        (*t).fut.set(bit::LOG_DESTROY);
        state::count(Counter::TasksMade);
        sites::made(site, t);
        let head: *mut LlistNode = &raw mut (*ts.cast::<ThreadStateImpl>()).asyncio_tasks_head;
        let node = &raw mut (*t).node;
        (*node).prev = (*head).prev;
        (*node).next = head;
        (*(*head).prev).next = node;
        (*head).prev = node;
        if eager && step::first(b, ls, ts, t) != 0 {
            decref(t.cast());
            return ptr::null_mut();
        }
        t
    }
}

pub unsafe fn is_coroutine(o: *mut PyObject) -> bool {
    // SAFETY: a live object.
    unsafe { type_of(o) == &raw mut ffi::PyCoro_Type }
}

/// The current task, if it is exactly a task of this loop; else null.
unsafe fn current(b: &Bound, ts: *mut ThreadState, looop: *mut PyObject) -> *mut PyObject {
    // SAFETY: the running thread's state.
    unsafe {
        let task = *current_task(ts);
        let ours = !task.is_null() && type_of(task) == b.task && (*task.cast::<TaskObj>()).fut.fut_loop == looop;
        if ours { task } else { ptr::null_mut() }
    }
}

pub unsafe fn is_code(function: *mut PyObject, code: *mut PyObject) -> bool {
    // SAFETY: a live function.
    unsafe { (*function.cast::<FunctionObject>()).func_code == code }
}

/// Whether `gather` finds the `ensure_future` that it found at first.
pub unsafe fn ensures(b: &Bound) -> bool {
    // SAFETY: a cell that is kept.
    unsafe { *b.fanout.ensure_cell == b.fanout.ensure_future as usize }
}

/// `gather(*coros_or_futures, return_exceptions=False)`.
pub unsafe extern "C" fn gather(function: *mut PyObject, args: *const *mut PyObject, nargsf: usize, names: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with as many arguments as it says.
    unsafe {
        let b = &*state::bound();
        let n = ffi::PyVectorcall_NARGS(nargsf) as usize;
        let keywords = if names.is_null() { 0 } else { ffi::PyTuple_GET_SIZE(names) };
        let ts = ThreadState::current();
        let looop = (*ts.cast::<ThreadStateImpl>()).asyncio_running_loop;
        let mut returns = Some(false);
        if keywords == 1 {
            let named = ffi::PyUnicode_Compare(ffi::PyTuple_GET_ITEM(names, 0), b.names.return_exceptions) == 0;
            returns = if named { as_flag(*args.add(n)) } else { None };
        }
        if let Some(returns) = returns
            && n > 0
            && keywords <= 1
            && is_code(function, b.fanout.gather)
        {
            let parent = current(b, ts, looop);
            if let Some((ls, eager)) = natural(b, ts, looop)
                && !parent.is_null()
                && ensures(b)
                && all_simple(b, looop, core::slice::from_raw_parts(args, n), eager)
            {
                return gathered(b, ls, ts, parent, core::slice::from_raw_parts(args, n), (returns, eager));
            }
        }
        sites::called(ts, Kind::Gather, false);
        (b.fanout.python)(function, args, nargsf, names)
    }
}

/// Whether each is a coroutine, or a future or task of this loop that is pending (if `eager`, in any state), and none is there twice.
unsafe fn all_simple(b: &Bound, looop: *mut PyObject, args: &[*mut PyObject], eager: bool) -> bool {
    // SAFETY: live objects.
    unsafe {
        for &arg in args {
            let simple = is_coroutine(arg)
                || future::is_known(b, arg)
                    && (*arg.cast::<FutureObj>()).fut_loop == looop
                    && (eager || (*arg.cast::<FutureObj>()).state == fut_state::PENDING);
            if !simple {
                return false;
            }
        }
    }
    if args.len() <= 12 {
        return args.iter().enumerate().all(|(i, a)| !args.iter().take(i).any(|before| before == a));
    }
    // SAFETY: each is a coroutine, a future or a task.
    unsafe { each_once(args) }
}

/// What the state of a coroutine's frame never is.
const MARK: i8 = i8::MIN;

/// Whether none is there twice. Coroutines that have not started are marked meanwhile, by the state of their frames.
unsafe fn each_once(args: &[*mut PyObject]) -> bool {
    // SAFETY: live objects; nothing else runs until the marks are taken away.
    unsafe {
        let state = |arg: *mut PyObject| &raw mut (*arg.cast::<GenObject>()).gi_frame_state;
        let mut seen = FxHashSet::default();
        let once = args.iter().all(|&arg| {
            if !is_coroutine(arg) || *state(arg) != frame_state::FRAME_CREATED && *state(arg) != MARK {
                return seen.insert(arg);
            }
            core::mem::replace(&mut *state(arg), MARK) != MARK
        });
        for &arg in args {
            if is_coroutine(arg) && *state(arg) == MARK {
                *state(arg) = frame_state::FRAME_CREATED;
            }
        }
        once
    }
}

/// The future that `gather` returns; new reference, null with an exception set.
unsafe fn gathered(
    b: &Bound,
    ls: *mut LoopState,
    ts: *mut ThreadState,
    parent: *mut PyObject,
    args: &[*mut PyObject],
    (returns, eager): (bool, bool),
) -> *mut PyObject {
    // SAFETY: live objects; what is made here is given back on every way out.
    unsafe {
        let site = sites::called(ts, Kind::Gather, true);
        let children = ffi::PyList_New(0);
        let returns = if returns { ffi::Py_True() } else { ffi::Py_False() };
        let callback = done_callback(b, parent, children, args.len(), returns);
        if !callback.is_null() && (*ls).parts {
            // It is called by C, which follows this word; whoever has put another one there (compiled code's entry) keeps it.
            let function: *mut FunctionObject = callback.cast();
            if (*function).vectorcall.is_some_and(|v| v as usize == b.fanout.python as usize) {
                (*function).vectorcall = Some(parts::gather_done);
            }
        }
        let mut outer = ptr::null_mut();
        if eager {
            let mut done = Vec::new();
            if !callback.is_null() && eager::children(b, ls, ts, parent, args, (children, callback, site), &mut done) == 0 {
                outer = new_outer(b, ls, children);
            }
            if !outer.is_null() {
                let closure = (*callback.cast::<FunctionObject>()).func_closure;
                ffi::PyCell_Set(ffi::PyTuple_GET_ITEM(closure, OUTER), outer);
                if eager::call_done(b, ls, callback, &done) != 0 {
                    decref(outer);
                    outer = ptr::null_mut();
                }
            }
            xdecref(callback);
            xdecref(children);
            return outer;
        }
        let context = ffi::PyContext_CopyCurrent();
        if !callback.is_null() && !context.is_null() {
            let all = args.iter().all(|&arg| {
                let coroutine = is_coroutine(arg);
                let child = if coroutine { new_task(b, ls, ts, arg, site, false).cast() } else { new_ref(arg) };
                if child.is_null() {
                    return false;
                }
                if coroutine {
                    (*child.cast::<FutureObj>()).clear(bit::LOG_DESTROY);
                }
                let f: *mut FutureObj = child.cast();
                let failed = future::awaited_by_add(f, parent) != 0
                    || future::add_done_callback(b, ls, f, callback, context) != 0
                    || ffi::PyList_Append(children, child) != 0;
                decref(child);
                !failed
            });
            if all {
                outer = new_outer(b, ls, children);
            }
            if !outer.is_null() {
                state::count(Counter::GathersMade);
                let closure = (*callback.cast::<FunctionObject>()).func_closure;
                ffi::PyCell_Set(ffi::PyTuple_GET_ITEM(closure, OUTER), outer);
            }
        }
        xdecref(context);
        xdecref(callback);
        xdecref(children);
        outer
    }
}

/// `_GatheringFuture(children, loop=loop)`; new reference, null with an exception set.
unsafe fn new_outer(b: &Bound, ls: *mut LoopState, children: *mut PyObject) -> *mut PyObject {
    // SAFETY: the new object's fields are zero, which is what a pending future's are, the loop apart.
    unsafe {
        let Some(alloc) = (*b.gathering).tp_alloc else { return ptr::null_mut() };
        let outer = alloc(b.gathering, 0);
        if outer.is_null() {
            return outer;
        }
        (*outer.cast::<FutureObj>()).fut_loop = new_ref((*ls).looop);
        if ffi::PyObject_SetAttr(outer, b.names.children, children) != 0
            || ffi::PyObject_SetAttr(outer, b.names.cancel_requested, ffi::Py_False()) != 0
        {
            decref(outer);
            return ptr::null_mut();
        }
        outer
    }
}

/// The closure `_done_callback` of a `gather`; new reference, null with an exception set.
unsafe fn done_callback(b: &Bound, parent: *mut PyObject, children: *mut PyObject, n: usize, returns: *mut PyObject) -> *mut PyObject {
    // SAFETY: live objects, `children` may be null; a code object of five free variables, whose names `bind` has compared.
    unsafe {
        if children.is_null() {
            return children;
        }
        let function = ffi::PyFunction_NewWithQualName(b.fanout.gather_done, b.fanout.globals, b.fanout.gather_done_qualname);
        let closure = ffi::PyTuple_New(FREE.len() as isize);
        let defaults = ffi::PyTuple_Pack(1, parent);
        let (zero, count) = (ffi::PyLong_FromLong(0), ffi::PyLong_FromSize_t(n));
        let mut good = !function.is_null() && !closure.is_null() && !defaults.is_null() && !count.is_null();
        if good {
            for (place, value) in
                [(CHILDREN, children), (NFINISHED, zero), (NFUTS, count), (OUTER, ffi::Py_None()), (RETURN_EXCEPTIONS, returns)]
            {
                let cell = ffi::PyCell_New(value);
                good &= !cell.is_null();
                ffi::PyTuple_SET_ITEM(closure, place, cell);
            }
        }
        good = good && ffi::PyFunction_SetClosure(function, closure) == 0 && ffi::PyFunction_SetDefaults(function, defaults) == 0;
        xdecref(zero);
        xdecref(count);
        xdecref(closure);
        xdecref(defaults);
        if good {
            return function;
        }
        xdecref(function);
        ptr::null_mut()
    }
}

/// Whether a native entry was called with `n` arguments by position, of which the last is a coroutine, and no others, as a function that still has its
/// code.
#[inline(always)]
pub unsafe fn gives_coroutine(
    (function, code): (*mut PyObject, *mut PyObject),
    args: *const *mut PyObject,
    nargsf: usize,
    names: *mut PyObject,
    n: ffi::Py_ssize_t,
) -> bool {
    // SAFETY: as many arguments as are said.
    unsafe {
        ffi::PyVectorcall_NARGS(nargsf) == n
            && (names.is_null() || ffi::PyTuple_GET_SIZE(names) == 0)
            && is_coroutine(*args.offset(n - 1))
            && is_code(function, code)
    }
}

/// A task of this loop for a coroutine, or None: nothing was done.
unsafe fn created(b: &Bound, looop: *mut PyObject, coro: *mut PyObject) -> Option<*mut PyObject> {
    // SAFETY: an exact coroutine; a live loop or null.
    unsafe {
        let ts = ThreadState::current();
        let (ls, eager) = natural(b, ts, looop)?;
        Some(new_task(b, ls, ts, coro, sites::called(ts, Kind::CreateTask, true), eager).cast())
    }
}

/// `loop.create_task(coro)`, as a method's function.
pub unsafe extern "C" fn loop_create_task(
    function: *mut PyObject,
    args: *const *mut PyObject,
    nargsf: usize,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with as many arguments as it says.
    unsafe {
        let b = &*state::bound();
        if gives_coroutine((function, b.fanout.loop_create_task), args, nargsf, names, 2)
            && let Some(task) = created(b, *args, *args.add(1))
        {
            return task;
        }
        sites::called(ThreadState::current(), Kind::CreateTask, false);
        (b.fanout.python)(function, args, nargsf, names)
    }
}

/// `asyncio.create_task(coro)`.
pub unsafe extern "C" fn create_task(
    function: *mut PyObject,
    args: *const *mut PyObject,
    nargsf: usize,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with as many arguments as it says.
    unsafe {
        let b = &*state::bound();
        let running = (*ThreadState::current().cast::<ThreadStateImpl>()).asyncio_running_loop;
        if gives_coroutine((function, b.fanout.create_task), args, nargsf, names, 1)
            && let Some(task) = created(b, running, *args)
        {
            return task;
        }
        sites::called(ThreadState::current(), Kind::CreateTask, false);
        (b.fanout.python)(function, args, nargsf, names)
    }
}

/// Runs a done callback of `gather` or `TaskGroup` natively: its status as a handle's, or None: nothing was done, call it.
pub unsafe fn done(b: &Bound, ls: *mut LoopState, callback: *mut PyObject, future: *mut PyObject) -> Option<c_int> {
    // SAFETY: live objects; they are held here, since finalisers may run.
    unsafe {
        if !future::is_known(b, future) {
            return None;
        }
        let code = queue::code_of(callback);
        let f: *mut FutureObj = future.cast();
        // A failure is dealt with by asyncio's own code, and so is everything while somebody watches.
        let finished = (*f).state == fut_state::FINISHED && (*f).exception.is_null();
        let ts = ThreadState::current();
        if !finished || early::watched(ts) || !queue::is_open(b, ls, ts) {
            return None;
        }
        incref(callback);
        incref(future);
        let answer = if code == b.fanout.gather_done {
            gather_done(b, ls, callback, f)
        } else if code == b.fanout.group_done && ptr::eq(type_of(callback), &raw const cendre_cpython::api::PyMethod_Type) {
            let group = (*callback.cast::<cendre_cpython::methodobject::MethodObject>()).im_self;
            group::child_done(b, ls, group, f)
        } else {
            None
        };
        if answer.is_some() {
            state::count(Counter::DoneNatively);
        }
        decref(future);
        decref(callback);
        answer
    }
}

unsafe fn cell(closure: *mut PyObject, place: isize) -> *mut PyObject {
    // SAFETY: a closure of five cells.
    unsafe { (*ffi::PyTuple_GET_ITEM(closure, place).cast::<cendre_cpython::cell::CellObject>()).ob_ref }
}

unsafe fn gather_done(b: &Bound, ls: *mut LoopState, callback: *mut PyObject, f: *mut FutureObj) -> Option<c_int> {
    // SAFETY: a function of `_done_callback`'s code; cells hold what they own.
    unsafe {
        if type_of(callback) != &raw mut ffi::PyFunction_Type {
            return None;
        }
        let (closure, defaults) = {
            let function: *mut FunctionObject = callback.cast();
            ((*function).func_closure, (*function).func_defaults)
        };
        if closure.is_null() || defaults.is_null() || ffi::PyTuple_GET_SIZE(defaults) != 1 {
            return None;
        }
        let parent = ffi::PyTuple_GET_ITEM(defaults, 0);
        let (outer, children) = (cell(closure, OUTER), cell(closure, CHILDREN));
        let (finished, all) = (cell(closure, NFINISHED), cell(closure, NFUTS));
        if outer.is_null()
            || type_of(outer) != b.gathering
            || (*outer.cast::<FutureObj>()).state != fut_state::PENDING
            || (*outer.cast::<FutureObj>()).fut_loop != (*ls).looop
            || children.is_null()
            || finished.is_null()
            || all.is_null()
            || ffi::PyLong_CheckExact(finished) == 0
            || ffi::PyLong_CheckExact(all) == 0
            || type_of(children) != &raw mut ffi::PyList_Type
        {
            return None;
        }
        let (finished, all) = (ffi::PyLong_AsLong(finished) + 1, ffi::PyLong_AsLong(all));
        if finished == all && !all_hold_values(b, outer, children) {
            return None;
        }
        // From here on there are effects.
        let number = ffi::PyLong_FromLong(finished);
        if number.is_null() || ffi::PyCell_Set(ffi::PyTuple_GET_ITEM(closure, NFINISHED), number) != 0 {
            return Some(-1);
        }
        decref(number);
        if parent != ffi::Py_None() && future::awaited_by_discard(f, parent) != 0 {
            return Some(-1);
        }
        if finished != all {
            return Some(0);
        }
        let n = ffi::PyList_GET_SIZE(children);
        let results = ffi::PyList_New(n);
        if results.is_null() {
            return Some(-1);
        }
        for i in 0..n {
            let child: *mut FutureObj = ffi::PyList_GET_ITEM(children, i).cast();
            ffi::PyList_SET_ITEM(results, i, new_ref((*child).result));
        }
        let failed = future::set_result(b, ls, outer.cast(), results);
        decref(results);
        Some(failed)
    }
}

/// Whether every child is finished with a value, and nobody has asked to cancel the whole.
unsafe fn all_hold_values(b: &Bound, outer: *mut PyObject, children: *mut PyObject) -> bool {
    // SAFETY: a list and a future that are alive.
    unsafe {
        flag(outer, b.names.cancel_requested) == Some(false)
            && (0..ffi::PyList_GET_SIZE(children)).all(|i| {
                let child = ffi::PyList_GET_ITEM(children, i);
                let f: *mut FutureObj = child.cast();
                future::is_known(b, child) && (*f).state == fut_state::FINISHED && (*f).exception.is_null() && !(*f).result.is_null()
            })
    }
}
