//! Awaited calls whose callee is no coroutine function but returns what can be awaited (a decorator's wrapper), and those with keywords or
//! unpacked arguments.
//!
//! A plain function is told that its result is awaited (`body::AWAITED`). Where it ends in `return f(...)`, machine code asks `pass_call`
//! instead of making that call: if `f` is a compiled coroutine function, its arguments are bound in a shell, and the function answers
//! *prepared* with it. Its frame is popped; then the shell is run for the one who awaits. So everything happens in CPython's order, and
//! the frames that anybody sees are CPython's, but no coroutine object is made.
//! Invariants: a shell that is prepared owns all that is in its slots, is CLEARED and untracked: nobody can find it; if its body may not run
//! once its turn has come, it becomes the coroutine object that the call would have given (`publish`); while a plain function runs its
//! caller stands at the CALL, while a coroutine runs at the SEND. Read docs/internals/awaits.md, "A decorator's wrapper".

use super::asyncgen;
use super::call::{self, Answer, Shell};
use super::data::{self, AwaitSite};
use super::finished;
use super::run::{may_run, own_slots, run, track};
use super::send::answer;
use crate::binding::{self, Args, Bound};
use crate::body::{self, BodyResult};
use crate::driver::{self, Subject};
use crate::ext;
use crate::generators::ANY_GENERATOR;
use crate::ops;
use crate::record;
use cendre_cpython::api;
use cendre_cpython::code::CodeObject;
use cendre_cpython::ffi::{self, PyObject};
use cendre_cpython::funcobject::FunctionObject;
use cendre_cpython::genobject::{GenObject, frame_state};
use cendre_cpython::interpframe::Frame;
use cendre_cpython::methodobject::MethodObject;
use cendre_cpython::refcount;
use cendre_cpython::tstate::ThreadState;
use cendre_cpython::tupleobject::TupleObject;
use core::ptr;

/// A call with its arguments bound, not run yet.
enum Ready {
    /// Of a coroutine function.
    Shell(*mut GenObject),
    /// Of a plain one.
    Frame(Bound),
    /// No memory, an exception is set.
    Raised,
}

/// Binds a call whose result is awaited; `None`: make the ordinary call, nothing has happened. Arguments in the masks are consumed else.
unsafe fn ready(ts: *mut ThreadState, f: *mut FunctionObject, args: &Args) -> Option<Ready> {
    // SAFETY: the callers pass a live function and arguments.
    unsafe {
        if (*(*f).func_code.cast::<CodeObject>()).co_flags & ANY_GENERATOR == 0 {
            if !super::is_plain(f) {
                return None;
            }
            let mut record = record::find((*f).func_code.cast());
            if record.is_null() || !(*record).awaited {
                is_awaited(f);
                record = record::find((*f).func_code.cast());
            }
            let bound = binding::bind_known(ts, f, record, args).map(Ready::Frame);
            if bound.is_none() {
                call::is_wanted(f);
            }
            return bound;
        }
        let record = record::find((*f).func_code.cast());
        if record.is_null() || (*record).body.is_null() {
            call::is_wanted(f);
            return None;
        }
        match call::shell_for(ts, record, f, args) {
            Shell::Bound(g) => Some(Ready::Shell(g)),
            Shell::Refused => None,
            Shell::Raised => Some(Ready::Raised),
        }
    }
}

/// From now on the function is compiled for callers that await what it returns.
unsafe fn is_awaited(f: *mut FunctionObject) {
    // SAFETY: a live function, which holds its code object; compiling keeps a pending exception.
    unsafe {
        let record = record::find_or_make((*f).func_code.cast());
        // What the compiler's thread has of it just now does not know; the first call behind that tells.
        if !record.is_null() && !(*record).awaited && (*record).job == 0 {
            (*record).awaited = true;
            if !(*record).body.is_null() && (*record).can_pass {
                driver::compile_anew(record, Subject::function(f));
            }
        }
    }
}

/// Runs what was bound by a caller that awaits its result, up to a coroutine that has not begun, owning all that it holds (`Err`), or to any other result: owned,
/// null for an exception.
unsafe fn prepare(ts: *mut ThreadState, ready: Ready) -> Result<*mut PyObject, *mut GenObject> {
    // SAFETY: bound just now.
    unsafe {
        match ready {
            Ready::Raised => Ok(ptr::null_mut()),
            Ready::Frame(bound) => binding::run_awaited(ts, bound),
            Ready::Shell(g) => {
                own_slots(&raw mut (*g).gi_iframe);
                Err(g)
            }
        }
    }
}

/// Runs a shell that was bound or prepared. `Err`: its body may not run now; it has become an ordinary coroutine object.
unsafe fn begin(ts: *mut ThreadState, g: *mut GenObject) -> Result<Answer, *mut PyObject> {
    // SAFETY: a shell with a complete frame, which holds its code object, hence the record lives.
    unsafe {
        let code = (*g).gi_iframe.code();
        let record = record::find(code);
        if record.is_null() || !may_run(ts, record) || (*ts).coroutine_origin_tracking_depth != 0 {
            // It was a shell, so its code begins as it should.
            let created = data::read_start(code).map_or(0, |start| start.created);
            return Err(publish(g, created));
        }
        data::refresh(record);
        let (at, created) = (*record).coro.start.as_ref().map_or((None, 0), |start| (Some(start.at), start.created));
        let Some(at) = at else { return Err(publish(g, created)) };
        let result = run(ts, g, record, at);
        Ok(call::answer(record, g, result))
    }
}

/// Makes of a shell that has not begun the object that the call would have given. `created`: the unit behind its RETURN_GENERATOR.
///
/// # Safety
/// A complete frame; the GIL is held.
pub(super) unsafe fn publish(g: *mut GenObject, created: u32) -> *mut PyObject {
    // SAFETY: the caller's contract. The state comes last.
    unsafe {
        let fr = &raw mut (*g).gi_iframe;
        own_slots(fr);
        (*fr).instr_ptr = CodeObject::units((*fr).code()).add(created as usize);
        (*fr).previous = ptr::null_mut();
        track(g);
        (*g).gi_frame_state = frame_state::FRAME_CREATED;
        g.cast()
    }
}

/// The function of a call that is awaited, with positional arguments, if it is a plain function or a method that is one: `argv[-1]` is free
/// then, and takes the method's object.
///
/// # Safety
/// Live objects, `n` arguments at `argv`, in the scratch words of the frame; the GIL is held.
#[inline(always)]
pub(super) unsafe fn plain_function(
    fr: *mut Frame,
    callable: *mut PyObject,
    argv: *mut *mut PyObject,
    n: usize,
    own: u64,
) -> Option<(*mut FunctionObject, Args)> {
    // SAFETY: the caller's contract.
    unsafe {
        let is_plain = |f: *mut PyObject| {
            refcount::type_of(f) == &raw mut ffi::PyFunction_Type
                && (*(*f.cast::<FunctionObject>()).func_code.cast::<CodeObject>()).co_flags & ANY_GENERATOR == 0
        };
        if is_plain(callable) {
            return Some((callable.cast(), call::positional(argv, n, own)));
        }
        if refcount::type_of(callable) != &raw mut ext::PyMethod_Type {
            return None;
        }
        let method: *mut MethodObject = callable.cast();
        // Two words before the arguments are free when there is no `self`: word 0 and that of self.
        if !is_plain((*method).im_func) || argv.cast() < Frame::stack_base(fr).add(2) {
            return None;
        }
        let first = argv.sub(1);
        *first = (*method).im_self;
        Some(((*method).im_func.cast(), call::positional(first, n + 1, own << 1)))
    }
}

/// `await f(...)` in `fr`, which stands at the CALL; `bound` is called when the arguments are bound, before anything runs. `None`: declined. `Err`: the call was made, and this is what it gave.
///
/// # Safety
/// Live objects; arguments that are in no mask, and `f`, stay so during the call; the GIL is held. Runs Python code.
pub(super) unsafe fn start(
    ts: *mut ThreadState,
    fr: *mut Frame,
    site: *mut AwaitSite,
    f: *mut FunctionObject,
    args: &Args,
    bound: &mut dyn FnMut(),
) -> Option<Result<Answer, *mut PyObject>> {
    // SAFETY: the caller's contract; the frame owns its code object, so the site outlives the call.
    unsafe {
        let ready = ready(ts, f, args)?;
        bound();
        let made = match ready {
            Ready::Shell(g) => Err(g),
            ready => prepare(ts, ready),
        };
        Some(match made {
            Ok(object) if object.is_null() => Ok(Answer::Raised),
            Ok(object) => Err(object),
            Err(g) => {
                (*fr).instr_ptr = (*site).send;
                begin(ts, g)
            }
        })
    }
}

/// Puts the outcome of [`start`] as machine code wants it.
///
/// # Safety
/// As for [`start`]; `yielded_to` is a scratch word of the frame.
pub(super) unsafe fn conclude(
    fr: *mut Frame,
    site: *mut AwaitSite,
    yielded_to: *mut *mut PyObject,
    outcome: Result<Answer, *mut PyObject>,
) -> BodyResult {
    // SAFETY: the caller's contract.
    unsafe {
        match outcome {
            Ok(answer) => call::conclude(site, yielded_to, answer),
            Err(object) => {
                (*fr).instr_ptr = (*site).call;
                AwaitSite::called_instead(site, BodyResult::new(answer::DECLINED, object as u64))
            }
        }
    }
}

/// What kind of call instruction it is; the operands are on the eval stack as it finds them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// CALL: callable, self or null, arguments.
    Positional,
    /// CALL_KW: the same, and a tuple of the names of the last ones.
    Keywords,
    /// CALL_FUNCTION_EX: callable, null, positional arguments, dict or null.
    Unpacked,
}

impl Form {
    /// As machine code says it (`cendre_ir::form`).
    fn of(number: i64) -> Form {
        match number {
            cendre_ir::form::POSITIONAL => Form::Positional,
            cendre_ir::form::KEYWORDS => Form::Keywords,
            _ => Form::Unpacked,
        }
    }
}

/// A call's operands as machine code stored them at the bottom of the eval stack: plain words.
struct Words {
    base: *mut *mut PyObject,
    count: usize,
    form: Form,
    /// The words that the call consumes.
    own: u64,
}

impl Words {
    /// Calls `use_them` with the Python function that is called and its arguments. `None` from it: nothing happened. Else it has consumed the
    /// arguments that are owned, and `release` is to be called.
    unsafe fn call<T>(&self, use_them: impl FnOnce(*mut FunctionObject, &Args) -> Option<T>) -> Option<T> {
        // SAFETY: made by machine code of the instruction's own operands.
        unsafe {
            let (mut f, mut me) = (*self.base, *self.base.add(1));
            let bound = me.is_null() && refcount::type_of(f) == &raw mut ext::PyMethod_Type;
            if bound {
                let method: *mut MethodObject = f.cast();
                (f, me) = ((*method).im_func, (*method).im_self);
            }
            if refcount::type_of(f) != &raw mut ffi::PyFunction_Type {
                return None;
            }
            if self.form == Form::Unpacked {
                return ops::unpacking(me, *self.base.add(2), *self.base.add(3), |args| use_them(f.cast(), args));
            }
            let mut end = self.count;
            let (mut names, mut keywords) = (ptr::null(), 0);
            if self.form == Form::Keywords {
                end -= 1;
                let tuple: *mut TupleObject = (*self.base.add(end)).cast();
                (names, keywords) = (TupleObject::items(tuple).cast_const(), (*tuple).ob_base.ob_size as usize);
            }
            let first = if me.is_null() { 2 } else { 1 };
            // The word is free where the object comes out of a method: it is lent.
            let free = *self.base.add(1);
            *self.base.add(1) = me;
            let n = end - first - keywords;
            // The mask says of the word what was there: a null that may be owned.
            let owned = self.own >> first & !u64::from(bound);
            let args = Args {
                positional: self.base.add(first).cast_const(),
                n,
                owned: owned & ((1 << n) - 1),
                names,
                values: self.base.add(first + n).cast_const(),
                keywords,
                values_owned: (owned >> n) & ((1 << keywords) - 1),
            };
            let done = use_them(f.cast(), &args);
            *self.base.add(1) = free;
            done
        }
    }

    /// CALL_FUNCTION_EX makes a tuple of any other iterable (`f(*(... for x in y))`) before it looks at the callable; so does this, where the items are neither
    /// tuple nor list, which are taken as they are. False: an exception is set, and all that the call consumes is gone.
    unsafe fn collect(&mut self, ts: *mut ThreadState) -> bool {
        // SAFETY: as in `call`. What runs here runs above the words: they lie below the end of the frame.
        unsafe {
            if self.form != Form::Unpacked {
                return true;
            }
            let items = *self.base.add(2);
            if ffi::PyTuple_CheckExact(items) != 0 || ffi::PyList_CheckExact(items) != 0 {
                return true;
            }
            if api::_Py_Check_ArgsIterable(ts, *self.base, items) < 0 {
                // The ordinary call says so again.
                ffi::PyErr_Clear();
                return true;
            }
            let tuple = ffi::PySequence_Tuple(items);
            if tuple.is_null() {
                for n in [3, 2, 0] {
                    if self.own >> n & 1 != 0 {
                        refcount::xdecref(*self.base.add(n));
                    }
                }
                return false;
            }
            *self.base.add(2) = tuple;
            if self.own >> 2 & 1 != 0 {
                refcount::decref(items);
            }
            self.own |= 1 << 2;
            true
        }
    }

    /// Gives up what the call consumes besides its arguments and the callable. The words may be scratch for others by now.
    fn others(&self) -> [*mut PyObject; 2] {
        // SAFETY: as in `call`.
        unsafe {
            let owned = |n: usize| if self.own >> n & 1 != 0 { *self.base.add(n) } else { ptr::null_mut() };
            match self.form {
                Form::Positional => [ptr::null_mut(); 2],
                Form::Keywords => [owned(self.count - 1), ptr::null_mut()],
                Form::Unpacked => [owned(2), owned(3)],
            }
        }
    }

    /// The callable, if the call consumes it.
    fn callable(&self) -> *mut PyObject {
        // SAFETY: as in `call`.
        if self.own & 1 != 0 { unsafe { *self.base } } else { ptr::null_mut() }
    }

    /// The call as CPython makes it; consumes all. Null with an exception set.
    unsafe fn ordinary(&self, ts: *mut ThreadState, fr: *mut Frame) -> *mut PyObject {
        // SAFETY: the frame stands at the call instruction, with its operands at the bottom of its stack.
        unsafe {
            let (op, oparg): (unsafe extern "C" fn(*mut ThreadState, *mut Frame, u32) -> i32, usize) = match self.form {
                Form::Positional => (ops::op_call, self.count - 2),
                Form::Keywords => (ops::op_call_kw, self.count - 3),
                Form::Unpacked => (ops::op_call_function_ex, 0),
            };
            let counts = oparg as u64 | (self.count as u64) << 32 | 1 << 48;
            if ops::around(ts, fr, op, counts, self.own) < 0 { ptr::null_mut() } else { *self.base }
        }
    }
}

/// The call of `return f(...)` in a function whose caller awaits the result. `(PREPARED, shell)`, `(RETURNED, the result)` or `(RAISED, _)`; consumes the operands.
///
/// # Safety
/// Called by machine code in `fr`, which stands at the call; its operands are plain words at the bottom of the eval stack.
pub unsafe extern "C" fn pass_call(ts: *mut ThreadState, fr: *mut Frame, form: i64, count: i64, own: u64) -> BodyResult {
    // SAFETY: the caller's contract.
    unsafe {
        let mut words = Words { base: Frame::stack_base(fr).cast(), count: count as usize, form: Form::of(form), own };
        if !words.collect(ts) {
            return BodyResult::new(body::RAISED, 0);
        }
        let (others, callable) = (words.others(), words.callable());
        let made = match words.call(|f, args| ready(ts, f, args)) {
            Some(ready) => {
                others.iter().for_each(|o| refcount::xdecref(*o));
                let made = prepare(ts, ready);
                refcount::xdecref(callable);
                made
            }
            None => Ok(words.ordinary(ts, fr)),
        };
        match made {
            Err(g) => BodyResult::new(body::PREPARED, g as u64),
            Ok(o) if o.is_null() => BodyResult::new(body::RAISED, 0),
            Ok(o) => BodyResult::new(body::RETURNED, o as u64),
        }
    }
}

/// `await f(..., k=v)` and `await f(*a, **k)`: answers as `await_call`, with what was yielded in word 0 of the eval stack; consumes the operands.
///
/// # Safety
/// As for [`pass_call`].
pub unsafe extern "C" fn await_words(
    ts: *mut ThreadState,
    fr: *mut Frame,
    site: *mut AwaitSite,
    form: i64,
    count: i64,
    own: u64,
) -> BodyResult {
    // SAFETY: the caller's contract; the frame owns its code object, so the site outlives the call.
    unsafe {
        if form == cendre_ir::form::ANEXT {
            return await_anext(ts, fr, site);
        }
        let mut words = Words { base: Frame::stack_base(fr).cast(), count: count as usize, form: Form::of(form), own };
        if !words.collect(ts) {
            return BodyResult::new(answer::RAISED, 0);
        }
        let (others, callable) = (words.others(), words.callable());
        if !site.is_null() && super::enabled() {
            let mut drop_others = || others.iter().for_each(|o| refcount::xdecref(*o));
            if let Some(outcome) = words.call(|f, args| start(ts, fr, site, f, args, &mut drop_others)) {
                refcount::xdecref(callable);
                return conclude(fr, site, words.base, outcome);
            }
        }
        instead(site, words.ordinary(ts, fr))
    }
}

/// What machine code is told of an ordinary call that was made instead (null: it raised).
unsafe fn instead(site: *mut AwaitSite, object: *mut PyObject) -> BodyResult {
    let made = if object.is_null() { BodyResult::new(answer::RAISED, 0) } else { BodyResult::new(answer::DECLINED, object as u64) };
    // SAFETY: null or a site of the running code.
    if site.is_null() { made } else { unsafe { AwaitSite::called_instead(site, made) } }
}

/// GET_ANEXT and the SEND behind it. With a value goes, in word 0, what an END_SEND is to find below it (immortal).
unsafe fn await_anext(ts: *mut ThreadState, fr: *mut Frame, site: *mut AwaitSite) -> BodyResult {
    // SAFETY: as in `await_words`, with the iterator as the one operand, which stays the caller's.
    unsafe {
        let base: *mut *mut PyObject = Frame::stack_base(fr).cast();
        let iterator = *base;
        if !site.is_null() {
            if let Some(answer) = asyncgen::next(ts, fr, site, iterator, base) {
                return answer;
            }
            if super::enabled()
                && let Some(f) = ops::anext_function(iterator)
            {
                // Whatever runs may change the class.
                refcount::incref(f.cast());
                let outcome = start(ts, fr, site, f, &call::positional(&raw const iterator, 1, 0), &mut || {});
                refcount::decref(f.cast());
                if let Some(outcome) = outcome {
                    let answer = conclude(fr, site, base, outcome);
                    if answer.tag == answer::VALUE {
                        *base = finished::finished().unwrap_or(ffi::Py_None());
                    }
                    return answer;
                }
            }
        }
        instead(site, ops::anext(ts, iterator))
    }
}
