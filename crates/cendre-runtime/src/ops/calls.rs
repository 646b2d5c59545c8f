//! Calls, intrinsics, and making functions.
//!
//! Invariant: a Python function that the interpreter would run inline gets its arguments as the interpreter gives them: their
//! references move into the callee's frame, so that `del argument` there can be the last one. All else is a vectorcall
//! over borrowed pointers. Events that wait (signals, collections) are handled behind calls of non-Python callables, as
//! CALL does; Python functions handle them at their RESUME. Read `mod.rs` for inputs and outputs.

use super::stack::{Objects, RAISED, drop_to, fail, finish, name, object, pop, push};
use crate::binding::{self, Args};
use crate::entries::vectorcall;
use crate::evaluator;
use crate::frames;
use crate::generators;
use cendre_cpython::StackRef;
use cendre_cpython::api;
use cendre_cpython::code::{CodeObject, co_flags};
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::funcobject::FunctionObject;
use cendre_cpython::interp;
use cendre_cpython::interpframe::Frame;
use cendre_cpython::methodobject::MethodObject;
use cendre_cpython::refcount::{self, decref, incref, new_ref, type_of};
use cendre_cpython::tstate::{ThreadState, eval_breaker};
use cendre_cpython::tupleobject::TupleObject;

/// `PY_VECTORCALL_ARGUMENTS_OFFSET`.
const ARGUMENTS_OFFSET: usize = 1 << (usize::BITS - 1);

/// `&PyMethod_Type`.
#[inline(always)]
pub(super) fn method_type() -> *mut ffi::PyTypeObject {
    unsafe extern "C" {
        static mut PyMethod_Type: ffi::PyTypeObject;
    }
    &raw mut PyMethod_Type
}

/// Would the interpreter run this callable inline?
#[inline]
unsafe fn runs_inline(ts: *mut ThreadState, callable: *mut PyObject) -> bool {
    // SAFETY: the callable is alive.
    unsafe {
        if ffi::Py_TYPE(callable) != &raw mut ffi::PyFunction_Type {
            return false;
        }
        frames::is_ordinary(callable.cast()) && interp::eval_frame((*ts).interp).is_null()
    }
}

/// Runs a function of [`runs_inline`] in the interpreter; the references of function and arguments move into its frame.
///
/// `n` counts the positional arguments; those named by `kwnames` (borrowed, or null) follow them.
unsafe fn call_inline(ts: *mut ThreadState, func: StackRef, args: *const StackRef, n: usize, kwnames: *mut PyObject) -> *mut PyObject {
    // SAFETY: the callers have taken func and arguments off the stack; the push consumes them also when it fails.
    unsafe {
        let f: *mut FunctionObject = func.as_ptr().cast();
        let code: *mut CodeObject = (*f).func_code.cast();
        let locals = if (*code).co_flags & co_flags::OPTIMIZED != 0 { core::ptr::null_mut() } else { new_ref((*f).func_globals) };
        let frame = api::_PyEvalFramePushAndInit(ts, func, locals, args, n, kwnames, core::ptr::null_mut());
        if frame.is_null() {
            return core::ptr::null_mut();
        }
        api::_PyEval_EvalFrameDefault(ts, frame, 0)
    }
}

/// `_CHECK_PERIODIC`: pending events behind a call. Answers false when a handler raised.
#[inline(always)]
unsafe fn handle_events(ts: *mut ThreadState) -> bool {
    // SAFETY: ts is the running thread's state; the word is volatile because other threads set its bits.
    unsafe {
        evaluator::look(ts);
        (&raw const (*ts).eval_breaker).read_volatile() & eval_breaker::EVENTS_MASK == 0 || api::_Py_HandlePending(ts) == 0
    }
}

/// Behind a call of a non-Python callable: the result, or null if an event's handler raised.
#[inline(always)]
pub(super) unsafe fn after_call(ts: *mut ThreadState, res: *mut PyObject) -> *mut PyObject {
    // SAFETY: res is owned or null.
    unsafe {
        if !res.is_null() && !handle_events(ts) {
            decref(res);
            return core::ptr::null_mut();
        }
        res
    }
}

/// Pushes a call's result, then handles pending events: a handler sees what the interpreter's would.
#[inline]
unsafe fn finish_call(ts: *mut ThreadState, fr: *mut Frame, res: *mut PyObject) -> i32 {
    // SAFETY: as for `finish`.
    unsafe {
        if finish(fr, res) < 0 {
            return RAISED;
        }
        if handle_events(ts) { super::stack::OK } else { fail(fr) }
    }
}

/// A bound method without self becomes its function and self.
#[inline]
unsafe fn expand_method(fr: *mut Frame) {
    // SAFETY: the inputs begin with callable and self-or-NULL.
    unsafe {
        let base = Frame::stack_base(fr);
        let callable = (*base).as_ptr();
        if ffi::Py_TYPE(callable) == method_type() && (*base.add(1)).is_null() {
            let method: *mut MethodObject = callable.cast();
            *base.add(1) = StackRef::from_new((*method).im_self);
            let bound = *base;
            *base = StackRef::from_new((*method).im_func);
            bound.close();
        }
    }
}

/// Does a call of the function only make a generator or coroutine?
#[inline(always)]
unsafe fn makes_object(f: *mut FunctionObject) -> bool {
    // SAFETY: a live function.
    unsafe { (*(*f).func_code.cast::<CodeObject>()).co_flags & generators::ANY_GENERATOR != 0 }
}

/// Runs a function whose body is compiled, or makes its generator or coroutine: the references of the arguments move into its frame. `None`: nothing has happened.
#[expect(clippy::indexing_slicing, reason = "`total` is at most the length, looked at first")]
unsafe fn call_bound(
    ts: *mut ThreadState,
    f: *mut FunctionObject,
    args: *const StackRef,
    n: usize,
    kwnames: *mut PyObject,
) -> Option<*mut PyObject> {
    // SAFETY: as for `call_inline`; the caller keeps function and names.
    unsafe {
        let keywords = if kwnames.is_null() { 0 } else { (*kwnames.cast::<TupleObject>()).ob_base.ob_size as usize };
        let total = n + keywords;
        if total > 32 {
            return None;
        }
        let mut objects = [core::ptr::null_mut(); 32];
        let mut owned = 0u64;
        for (i, place) in objects[..total].iter_mut().enumerate() {
            let r = *args.add(i);
            *place = r.as_ptr();
            owned |= u64::from(r.owns()) << i;
        }
        let names = if keywords == 0 { core::ptr::null() } else { TupleObject::items(kwnames.cast()).cast_const() };
        let (positional, values) = (objects.as_ptr(), objects.as_ptr().add(n));
        let args = Args { positional, n, owned, names, values, keywords, values_owned: owned >> n };
        if makes_object(f) { generators::make(ts, f, &args) } else { binding::call(ts, f, &args) }
    }
}

/// CALL and CALL_KW behind [`expand_method`]: callable, self or NULL, `oparg` arguments; the names are off the stack already.
unsafe fn call(ts: *mut ThreadState, fr: *mut Frame, oparg: u32, kwnames: *mut PyObject) -> i32 {
    // SAFETY: the callers' inputs.
    unsafe {
        let base = Frame::stack_base(fr);
        let callable = *base;
        let has_self = !(*base.add(1)).is_null();
        let args = if has_self { base.add(1) } else { base.add(2) };
        let total = oparg as usize + usize::from(has_self);
        let named = if kwnames.is_null() { 0 } else { (*kwnames.cast::<TupleObject>()).ob_base.ob_size as usize };
        if ffi::Py_TYPE(callable.as_ptr()) == &raw mut ffi::PyFunction_Type {
            let (above, n) = ((*fr).stackpointer, total - named);
            let f: *mut FunctionObject = callable.as_ptr().cast();
            (*fr).stackpointer = base;
            let mut bound = call_bound(ts, f, args, n, kwnames);
            if bound.is_none() {
                // A wrapped function may be compiled only now.
                (*fr).stackpointer = above;
                if vectorcall::settle(ts, f) {
                    (*fr).stackpointer = base;
                    bound = call_bound(ts, f, args, n, kwnames);
                }
            }
            if let Some(res) = bound {
                callable.close();
                if res.is_null() {
                    return RAISED;
                }
                push(fr, StackRef::from_steal(res));
                return super::stack::OK;
            }
            (*fr).stackpointer = above;
        }
        if runs_inline(ts, callable.as_ptr()) {
            (*fr).stackpointer = base;
            let res = call_inline(ts, callable, args, total - named, kwnames);
            if res.is_null() {
                return RAISED;
            }
            push(fr, StackRef::from_steal(res));
            return super::stack::OK;
        }
        let mut objects = Objects::new();
        let first = objects.fill(args, total);
        if first.is_null() {
            return fail(fr);
        }
        let res = ffi::PyObject_Vectorcall(callable.as_ptr(), first, (total - named) | ARGUMENTS_OFFSET, kwnames);
        finish_call(ts, fr, res)
    }
}

/// CALL: callable, self or NULL, `oparg` positional arguments.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_call(ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: oparg + 2 inputs.
    unsafe {
        expand_method(fr);
        call(ts, fr, oparg, core::ptr::null_mut())
    }
}

/// CALL_KW: callable, self or NULL, `oparg` arguments, tuple of the names of the last ones.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_call_kw(ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: oparg + 3 inputs; the tuple of names lives until the call is over.
    unsafe {
        expand_method(fr);
        let names = pop(fr);
        let status = call(ts, fr, oparg, names.as_ptr());
        names.close();
        status
    }
}

/// A call whose arguments lie as the callee's parameters do (`call.bound`), where its body cannot be entered at once. Consumes the
/// arguments of `mask`.
///
/// # Safety
/// `callable` is a Python function with parameters for `args`, the tuple of `*args` and the dict of `**kwargs` behind the others; the GIL is held.
pub unsafe extern "C" fn call_slots(ts: *mut ThreadState, callable: *mut PyObject, args: *const *mut PyObject, mask: u64) -> *mut PyObject {
    // SAFETY: the contract: exact tuple and dict, made for this call; names of parameters are a tuple of strs.
    unsafe {
        let f: *mut FunctionObject = callable.cast();
        let code: *mut CodeObject = (*f).func_code.cast();
        let (argcount, kwonly) = ((*code).co_argcount as usize, (*code).co_kwonlyargcount as usize);
        let take = |k: usize| {
            let o = *args.add(k);
            if mask >> k & 1 != 0 { StackRef::from_steal(o) } else { StackRef::from_new(o) }
        };
        let mut next = argcount + kwonly;
        let mut refs: Vec<StackRef> = (0..argcount).map(take).collect();
        if (*code).co_flags & co_flags::VARARGS != 0 {
            let tuple = *args.add(next);
            let items = TupleObject::items(tuple.cast());
            refs.extend((0..ffi::PyTuple_Size(tuple) as usize).map(|k| StackRef::from_new(*items.add(k))));
            decref(tuple);
            next += 1;
        }
        let n = refs.len();
        let mut names: Vec<*mut PyObject> = Vec::new();
        let slot_names = TupleObject::items((*code).co_localsplusnames.cast());
        for k in argcount..argcount + kwonly {
            names.push(new_ref(*slot_names.add(k)));
            refs.push(take(k));
        }
        if (*code).co_flags & co_flags::VARKEYWORDS != 0 {
            let dict = *args.add(next);
            let (mut at, mut key, mut value) = (0, core::ptr::null_mut(), core::ptr::null_mut());
            while ffi::PyDict_Next(dict, &mut at, &mut key, &mut value) != 0 {
                names.push(new_ref(key));
                refs.push(StackRef::from_new(value));
            }
            decref(dict);
        }
        let mut kwnames = core::ptr::null_mut();
        if !names.is_empty() {
            kwnames = ffi::PyTuple_New(names.len() as ffi::Py_ssize_t);
            if kwnames.is_null() {
                names.iter().for_each(|name| decref(*name));
                refs.iter().rev().for_each(|r| r.close());
                return kwnames;
            }
            for (k, name) in names.iter().enumerate() {
                ffi::PyTuple_SetItem(kwnames, k as ffi::Py_ssize_t, *name);
            }
        }
        let mut bound = call_bound(ts, f, refs.as_ptr(), n, kwnames);
        if bound.is_none() && vectorcall::settle(ts, f) {
            bound = call_bound(ts, f, refs.as_ptr(), n, kwnames);
        }
        let result = match bound {
            Some(result) => result,
            None if runs_inline(ts, callable) => call_inline(ts, StackRef::from_new(callable), refs.as_ptr(), n, kwnames),
            None => {
                let objects: Vec<*mut PyObject> = refs.iter().map(|r| r.as_ptr()).collect();
                let result = ffi::PyObject_Vectorcall(callable, objects.as_ptr(), n, kwnames);
                refs.iter().rev().for_each(|r| r.close());
                result
            }
        };
        refcount::xdecref(kwnames);
        result
    }
}

/// Gives `use_them` the arguments of `f(*items, **dict)` (null for none), behind `me` (null for none), as references of their own. `None` from
/// it, or where the items are no exact tuple or list: nothing has happened.
///
/// # Safety
/// Live objects, null or a mapping; the GIL is held.
#[expect(clippy::indexing_slicing, reason = "no more items than the arrays have, looked at first")]
pub(crate) unsafe fn unpacking<T>(
    me: *mut PyObject,
    items: *mut PyObject,
    dict: *mut PyObject,
    use_them: impl FnOnce(&Args) -> Option<T>,
) -> Option<T> {
    const MOST: usize = binding::MOST_KEYWORDS;
    // SAFETY: the caller's contract.
    unsafe {
        let (mut names, mut values) = ([core::ptr::null_mut(); MOST], [core::ptr::null_mut(); MOST]);
        let mut keywords = 0;
        if !dict.is_null() {
            if ffi::PyDict_CheckExact(dict) == 0 || ffi::PyDict_Size(dict) as usize > MOST {
                return None;
            }
            let mut at = 0;
            while ffi::PyDict_Next(dict, &mut at, &mut names[keywords], &mut values[keywords]) != 0 {
                if ffi::PyUnicode_CheckExact(names[keywords]) == 0 {
                    return None;
                }
                keywords += 1;
                if keywords == MOST {
                    break;
                }
            }
            if keywords != ffi::PyDict_Size(dict) as usize {
                return None;
            }
        }
        let list = ffi::PyList_CheckExact(items) != 0;
        if !list && ffi::PyTuple_CheckExact(items) == 0 {
            return None;
        }
        let given = (*items.cast::<TupleObject>()).ob_base.ob_size as usize;
        if given > 32 {
            return None;
        }
        let mut positional = [me; 33];
        let first = usize::from(!me.is_null());
        for i in 0..given {
            let n = i as ffi::Py_ssize_t;
            positional[first + i] = if list { ffi::PyList_GET_ITEM(items, n) } else { ffi::PyTuple_GET_ITEM(items, n) };
        }
        let n = first + given;
        let all = |count: usize| (1u64 << count) - 1;
        let args = Args {
            positional: positional.as_ptr(),
            n,
            owned: all(n),
            names: names.as_ptr(),
            values: values.as_ptr(),
            keywords,
            values_owned: all(keywords),
        };
        for o in positional[..n].iter().chain(&values[..keywords]) {
            incref(*o);
        }
        let done = use_them(&args);
        if done.is_none() {
            for o in positional[..n].iter().chain(&values[..keywords]) {
                decref(*o);
            }
        }
        done
    }
}

/// The frame of `f(*tuple, **dict)` (null for none), if its body is compiled. It owns its arguments.
unsafe fn bind_unpacked(ts: *mut ThreadState, f: *mut FunctionObject, tuple: *mut PyObject, dict: *mut PyObject) -> Option<binding::Bound> {
    // SAFETY: an exact tuple, null or a dict.
    unsafe { unpacking(core::ptr::null_mut(), tuple, dict, |args| binding::bind(ts, f, args)) }
}

/// The arguments of `f(*tuple, **dict)` as references of their own, and the tuple of the keywords' names (owned, or null). `None`: a call
/// that is no such, or there is no memory; nothing has happened.
unsafe fn unpacked(tuple: *mut PyObject, dict: *mut PyObject) -> Option<(Vec<StackRef>, *mut PyObject)> {
    // SAFETY: an exact tuple, null or any mapping; the dict does not change while it is walked, since that runs no code.
    unsafe {
        let keywords = match dict.is_null() {
            true => 0,
            false if ffi::PyDict_CheckExact(dict) != 0 => ffi::PyDict_Size(dict) as usize,
            false => return None,
        };
        let n = (*tuple.cast::<TupleObject>()).ob_base.ob_size as usize;
        let mut args = Vec::new();
        args.try_reserve_exact(n + keywords).ok()?;
        let (mut at, mut key, mut value) = (0, core::ptr::null_mut(), core::ptr::null_mut());
        while keywords > 0 && ffi::PyDict_Next(dict, &mut at, &mut key, &mut value) != 0 {
            if ffi::PyUnicode_Check(key) == 0 {
                return None;
            }
        }
        let mut names = core::ptr::null_mut();
        if keywords > 0 {
            names = ffi::PyTuple_New(keywords as ffi::Py_ssize_t);
            if names.is_null() {
                ffi::PyErr_Clear();
                return None;
            }
        }
        let items = TupleObject::items(tuple.cast());
        args.extend((0..n).map(|i| StackRef::from_new(*items.add(i))));
        at = 0;
        for k in 0..keywords {
            ffi::PyDict_Next(dict, &mut at, &mut key, &mut value);
            ffi::PyTuple_SetItem(names, k as ffi::Py_ssize_t, new_ref(key));
            args.push(StackRef::from_new(value));
        }
        Some((args, names))
    }
}

/// CALL_FUNCTION_EX: callable, NULL, positional arguments (any iterable), dict of keywords or NULL.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_call_function_ex(ts: *mut ThreadState, fr: *mut Frame, _oparg: u32) -> i32 {
    // SAFETY: four inputs.
    unsafe {
        let base = Frame::stack_base(fr);
        let func = (*base).as_ptr();
        let given = (*base.add(2)).as_ptr();
        if ffi::PyTuple_CheckExact(given) == 0 {
            if api::_Py_Check_ArgsIterable(ts, func, given) < 0 {
                return fail(fr);
            }
            let tuple = ffi::PySequence_Tuple(given);
            if tuple.is_null() {
                return fail(fr);
            }
            let old = *base.add(2);
            *base.add(2) = StackRef::from_steal(tuple);
            old.close();
        }
        let python = runs_inline(ts, func);
        if python && makes_object(func.cast()) {
            let (tuple, dict) = ((*base.add(2)).as_ptr(), (*base.add(3)).as_ptr());
            let null = core::ptr::null_mut();
            if let Some(made) = unpacking(null, tuple, dict, |args| generators::make(ts, func.cast(), args)) {
                drop_to(fr, 0);
                if made.is_null() {
                    return RAISED;
                }
                push(fr, StackRef::from_steal(made));
                return super::stack::OK;
            }
        }
        let function = ffi::Py_TYPE(func) == &raw mut ffi::PyFunction_Type;
        let bind = || bind_unpacked(ts, func.cast(), (*base.add(2)).as_ptr(), (*base.add(3)).as_ptr());
        let mut bound = if function { bind() } else { None };
        if function && bound.is_none() && vectorcall::settle(ts, func.cast()) {
            bound = bind();
        }
        if let Some(bound) = bound {
            // What was unpacked is given up before the function runs: it holds what it got.
            let callable = *base;
            *base = StackRef::NULL;
            drop_to(fr, 0);
            let res = binding::run(ts, bound);
            callable.close();
            if res.is_null() {
                return RAISED;
            }
            push(fr, StackRef::from_steal(res));
            return super::stack::OK;
        }
        let (tuple, dict) = ((*base.add(2)).as_ptr(), (*base.add(3)).as_ptr());
        if python && let Some((args, names)) = unpacked(tuple, dict) {
            // As above: what was unpacked is given up before the function runs.
            let callable = *base;
            *base = StackRef::NULL;
            let n = (*tuple.cast::<TupleObject>()).ob_base.ob_size as usize;
            drop_to(fr, 0);
            let res = call_inline(ts, callable, args.as_ptr(), n, names);
            ffi::Py_XDECREF(names);
            if res.is_null() {
                return RAISED;
            }
            push(fr, StackRef::from_steal(res));
            return super::stack::OK;
        }
        let res = ffi::PyObject_Call(func, tuple, dict);
        if python { finish(fr, res) } else { finish_call(ts, fr, res) }
    }
}

/// CALL_INTRINSIC_1.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_call_intrinsic_1(ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: one input; the compiler emits only intrinsics that the table has.
    unsafe {
        let row = (&raw const api::_PyIntrinsics_UnaryFunctions).cast::<api::IntrinsicFunc1Info>().add(oparg as usize);
        finish(fr, ((*row).func)(ts, object(fr, 0)))
    }
}

/// CALL_INTRINSIC_2.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_call_intrinsic_2(ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: two inputs; the compiler emits only intrinsics that the table has. The lower input is the first argument.
    unsafe {
        let row = (&raw const api::_PyIntrinsics_BinaryFunctions).cast::<api::IntrinsicFunc2Info>().add(oparg as usize);
        finish(fr, ((*row).func)(ts, object(fr, 0), object(fr, 1)))
    }
}

/// MAKE_FUNCTION: of a code object and the frame's globals.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_make_function(_ts: *mut ThreadState, fr: *mut Frame, _oparg: u32) -> i32 {
    // SAFETY: one input, a code object; its version is read before its reference is given up.
    unsafe {
        let code = object(fr, 0);
        let func = ffi::PyFunction_New(code, (*fr).f_globals);
        let version = (*code.cast::<CodeObject>()).co_version;
        drop_to(fr, 0);
        if func.is_null() {
            return RAISED;
        }
        api::_PyFunction_SetVersion(func.cast(), version);
        push(fr, StackRef::from_steal(func));
    }
    super::stack::OK
}

/// The oparg of SET_FUNCTION_ATTRIBUTE that stands for `__annotate__`.
const ANNOTATE: u32 = 0x10;

/// SET_FUNCTION_ATTRIBUTE: attribute (defaults, closure, ... by oparg), function; the function stays. What computes annotations has been compiled with the
/// name of the enclosing scope; since 3.14.5 the interpreter names it after its function here (CPython issue 137814).
///
/// # Safety
/// The contract of stack ops; the attribute is still unset.
pub unsafe extern "C" fn op_set_function_attribute(_ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: two inputs; CPython's table has the offset of the field for each oparg that the compiler emits.
    unsafe {
        let func = pop(fr);
        let attr = pop(fr).into_owned_ptr();
        let offset = *(&raw const api::_Py_FunctionAttributeOffsets).cast::<usize>().add(oparg as usize);
        *func.as_ptr().byte_add(offset).cast::<*mut PyObject>() = attr;
        push(fr, func);
        if oparg == ANNOTATE && type_of(attr) == &raw mut ffi::PyFunction_Type {
            let outer = (*func.as_ptr().cast::<FunctionObject>()).func_qualname;
            let name = ffi::PyUnicode_FromFormat(c"%U.__annotate__".as_ptr(), outer);
            if name.is_null() {
                return fail(fr);
            }
            let inner = attr.cast::<FunctionObject>();
            decref(core::mem::replace(&mut (*inner).func_qualname, name));
        }
    }
    super::stack::OK
}

/// LOAD_BUILD_CLASS: `builtins.__build_class__`.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_load_build_class(ts: *mut ThreadState, fr: *mut Frame, _oparg: u32) -> i32 {
    // SAFETY: no inputs, one output.
    unsafe {
        let key = super::stack::interned(c"__build_class__");
        if key.is_null() {
            return fail(fr);
        }
        let mut res = core::ptr::null_mut();
        let err = ffi::PyMapping_GetOptionalItem((*fr).f_builtins, key, &mut res);
        decref(key);
        if err == 0 {
            api::_PyErr_SetString(ts, ffi::PyExc_NameError, c"__build_class__ not found".as_ptr());
        }
        if err <= 0 {
            return fail(fr);
        }
        push(fr, StackRef::from_steal(res));
    }
    super::stack::OK
}

/// LOAD_SUPER_ATTR: `super`, class, self; attribute `oparg >> 2` of `super(class, self)` (of `super()` without bit 2), then NULL
/// if oparg has bit 1.
///
/// # Safety
/// The contract of stack ops.
pub unsafe extern "C" fn op_load_super_attr(_ts: *mut ThreadState, fr: *mut Frame, oparg: u32) -> i32 {
    // SAFETY: three inputs.
    unsafe {
        let attr_name = name(fr, oparg >> 2);
        let (global_super, class, this) = (object(fr, 0), object(fr, 1), object(fr, 2));
        if global_super == (&raw mut ffi::PySuper_Type).cast() && ffi::PyType_Check(class) != 0 {
            return super_lookup(fr, class.cast(), this, attr_name, oparg & 1 != 0);
        }
        let args = [class, this];
        let object = ffi::PyObject_Vectorcall(global_super, args.as_ptr(), (oparg & 2) as usize, core::ptr::null_mut());
        drop_to(fr, 0);
        if object.is_null() {
            return RAISED;
        }
        let res = ffi::PyObject_GetAttr(object, attr_name);
        decref(object);
        if res.is_null() {
            return RAISED;
        }
        push(fr, StackRef::from_steal(res));
        if oparg & 1 != 0 {
            push(fr, StackRef::NULL);
        }
    }
    super::stack::OK
}

/// The same without a super object, as LOAD_SUPER_ATTR_ATTR and LOAD_SUPER_ATTR_METHOD do it.
unsafe fn super_lookup(fr: *mut Frame, class: *mut ffi::PyTypeObject, this: *mut PyObject, attr: *mut PyObject, method: bool) -> i32 {
    // SAFETY: three inputs; what is left of them is given up here.
    unsafe {
        let generic = (*ffi::Py_TYPE(this)).tp_getattro.is_some_and(|f| f as usize == ffi::PyObject_GenericGetAttr as *const () as usize);
        let mut found = 0;
        let out = if method && generic { &raw mut found } else { core::ptr::null_mut() };
        let res = api::_PySuper_Lookup(class, this, attr, out);
        if res.is_null() {
            return fail(fr);
        }
        let this = pop(fr);
        let kept = if found != 0 {
            this
        } else {
            this.close();
            StackRef::NULL
        };
        drop_to(fr, 0);
        push(fr, StackRef::from_steal(res));
        if method {
            push(fr, kept);
        }
    }
    super::stack::OK
}
