//! What `_Py_DebugOffsets` does not publish, found out by making objects and looking.
//!
//! Holds [`run`], called by `layout::check` only, after the published offsets and sizes were found right.
//! Invariant: every look is at memory that an earlier test has shown to be of the right kind; objects made here are dropped
//! again; no exception stays set; fields without any witness in a running interpreter (executors, monitoring data) are left
//! to the probe. Read: `docs/internals/layout.md`.

use crate::cell::CellObject;
use crate::code::{CodeObject, CodeUnit};
use crate::dict::{DictKeys, DictObject, DictValues, keys_kind};
use crate::ffi::{self, PyObject};
use crate::floatobject::FloatObject;
use crate::frameobject::FrameObject;
use crate::funcobject::{FUNC_VERSION_CLEARED, FunctionObject};
use crate::genobject::{GenObject, frame_state};
use crate::interpframe::{FRAME_SPECIALS_SIZE, Frame, frame_owner};
use crate::listobject::{ListIterObject, ListObject};
use crate::longobject::{self, LongObject};
use crate::methodobject::CFunctionObject;
use crate::rangeobject::RangeIterObject;
use crate::tstate::{DATA_STACK_CHUNK_SIZE, ErrStackItem, ThreadState, ThreadStateImpl};
use crate::tupleobject::{TupleIterObject, TupleObject};
use crate::typeobject::{HeapTypeObject, MANAGED_DICT_OFFSET, tp_flags};
use crate::{Owned, api, gc, interp, refcount};
use core::ffi::{CStr, c_char, c_int};
use core::mem::{offset_of, size_of};
use core::ptr::null_mut;

type Check = Result<(), String>;

macro_rules! expect {
    ($cond:expr, $($what:tt)*) => {
        if !$cond {
            return Err(format!($($what)*));
        }
    };
}

/// A generator suspended inside a handler, an instance with one attribute, a plain function: all that is looked at.
const SOURCE: &CStr = c"
def f(a, b=2, *, c=3):
    return a
def g():
    try:
        raise KeyError
    except KeyError:
        yield
class C:
    pass
i = C()
i.x = 5
g = g()
g.send(None)
";

fn owned(op: *mut PyObject, what: &str) -> Result<Owned, String> {
    // SAFETY: called with new references only; the GIL is held throughout `run`.
    unsafe { Owned::from_new(op) }.ok_or_else(|| {
        // SAFETY: the GIL is held; an exception of ours must not stay set.
        unsafe { ffi::PyErr_Clear() };
        format!("{what} could not be made")
    })
}

/// All tests. The error says what is different.
///
/// # Safety
/// The GIL is held, no exception is set, published offsets and sizes were found right.
pub(crate) unsafe fn run() -> Check {
    // SAFETY: the caller's contract is that of each.
    unsafe {
        numbers()?;
        containers()?;
        let ts = ThreadState::current();
        thread_state(ts)?;
        running_frame(ts)?;
        interpreter((*ts).interp)?;
        made_by_source()
    }
}

unsafe fn numbers() -> Check {
    // SAFETY: the GIL is held; sizes of int and float were compared.
    unsafe {
        let zero = longobject::small_int_zero();
        for v in [-5i64, 1, 256] {
            let p = ffi::PyLong_FromLong(v);
            expect!(p == zero.offset(v as isize).cast(), "small ints are not in one array");
            expect!(refcount::is_immortal(p), "small ints are not immortal");
            expect!(LongObject::try_compact(p) == Some(v), "the int {v} is stored differently");
            expect!((*p.cast::<LongObject>()).lv_tag & longobject::SMALL_INT_BIT != 0, "small ints are not marked");
        }
        for v in [-123_456_789i64, 123_456_789] {
            let n = owned(ffi::PyLong_FromLong(v), "an int")?;
            let long: *mut LongObject = n.as_ptr().cast();
            expect!(
                (*long).lv_tag == longobject::compact_tag(v) && (*long).ob_digit[0] == 123_456_789,
                "the int {v} is stored differently"
            );
            expect!(refcount::refcnt(n.as_ptr()) == 1, "the reference count is elsewhere");
            let again = n.borrow().to_owned();
            expect!(ffi::Py_REFCNT(again.as_ptr()) == 2, "the reference count is elsewhere");
        }
        let big = owned(ffi::PyLong_FromLong(5 << 30 | 7), "an int")?;
        let digits: *const u32 = (&raw const (*big.as_ptr().cast::<LongObject>()).ob_digit).cast();
        expect!(
            (*big.as_ptr().cast::<LongObject>()).lv_tag == 2 << longobject::NON_SIZE_BITS && (*digits, *digits.add(1)) == (7, 5),
            "digits of an int do not have 30 bits"
        );
        let float = owned(ffi::PyFloat_FromDouble(1.5), "a float")?;
        expect!((*float.as_ptr().cast::<FloatObject>()).ob_fval == 1.5, "a float's value is elsewhere");
    }
    Ok(())
}

unsafe fn containers() -> Check {
    // SAFETY: the GIL is held; the sizes of list, tuple, dict and cell were compared.
    unsafe {
        let item = owned(ffi::PyLong_FromLong(1 << 20), "an int")?;
        let list = owned(ffi::PyList_New(0), "a list")?;
        expect!(ffi::PyList_Append(list.as_ptr(), item.as_ptr()) == 0, "a list could not be made");
        let l: *mut ListObject = list.as_ptr().cast();
        expect!(
            *(*l).ob_item == item.as_ptr() && (*l).ob_base.ob_size == 1 && (*l).allocated >= 1 && (*l).allocated < 64,
            "a list is stored differently"
        );
        expect!(gc::is_tracked(list.as_ptr()), "the collector's header is different");
        ffi::PyObject_GC_UnTrack(list.as_ptr().cast());
        let untracked = !gc::is_tracked(list.as_ptr());
        ffi::PyObject_GC_Track(list.as_ptr().cast());
        expect!(untracked, "the collector's header is different");
        let it = owned(ffi::PyObject_GetIter(list.as_ptr()), "an iterator")?;
        drop(owned(ffi::PyIter_Next(it.as_ptr()), "an item")?);
        let li: *mut ListIterObject = it.as_ptr().cast();
        expect!((*li).it_index == 1 && (*li).it_seq == l, "a list's iterator is stored differently");

        let tuple = owned(api::_PyTuple_FromArray([item.as_ptr(), list.as_ptr()].as_ptr(), 2), "a tuple")?;
        let items = TupleObject::items(tuple.as_ptr().cast());
        expect!(*items == item.as_ptr() && *items.add(1) == list.as_ptr(), "a tuple is stored differently");
        let it = owned(ffi::PyObject_GetIter(tuple.as_ptr()), "an iterator")?;
        drop(owned(ffi::PyIter_Next(it.as_ptr()), "an item")?);
        let ti: *mut TupleIterObject = it.as_ptr().cast();
        expect!((*ti).it_index == 1 && (*ti).it_seq.cast() == tuple.as_ptr(), "a tuple's iterator is stored differently");

        let range = owned(ffi::PyObject_CallOneArg((&raw mut ffi::PyRange_Type).cast(), item.as_ptr()), "a range")?;
        let it = owned(ffi::PyObject_GetIter(range.as_ptr()), "an iterator")?;
        drop(owned(ffi::PyIter_Next(it.as_ptr()), "an item")?);
        let ri: *mut RangeIterObject = it.as_ptr().cast();
        expect!(
            (*(*it.as_ptr()).ob_type).tp_basicsize as usize == size_of::<RangeIterObject>()
                && ((*ri).start, (*ri).step, (*ri).len) == (1, 1, (1 << 20) - 1),
            "a range's iterator is stored differently"
        );

        let cell = owned(ffi::PyCell_New(item.as_ptr()), "a cell")?;
        expect!((*cell.as_ptr().cast::<CellObject>()).ob_ref == item.as_ptr(), "a cell is stored differently");

        let dict = owned(ffi::PyDict_New(), "a dict")?;
        let key = owned(ffi::PyUnicode_InternFromString(c"cendre".as_ptr()), "a str")?;
        expect!(ffi::PyDict_SetItem(dict.as_ptr(), key.as_ptr(), item.as_ptr()) == 0, "a dict could not be made");
        let d: *mut DictObject = dict.as_ptr().cast();
        expect!((*d).ma_used == 1 && (*d).ma_values.is_null(), "a dict is stored differently");
        expect!((*d)._ma_watcher_tag == 0, "a new dict is watched");
        expect!(keys_hold((*d).ma_keys, keys_kind::UNICODE, key.as_ptr(), item.as_ptr()), "a dict's keys differ");
    }
    Ok(())
}

/// Whether the first entry of `keys` is `key`, with `value` (NULL: not looked at).
unsafe fn keys_hold(keys: *mut DictKeys, kind: u8, key: *mut PyObject, value: *mut PyObject) -> bool {
    // SAFETY: the caller found `keys` in a dict or a class; a wrong shift is caught before it is used.
    unsafe {
        if (*keys).dk_kind != kind || (*keys).dk_nentries != 1 || (*keys).dk_log2_index_bytes > 8 {
            return false;
        }
        let entry = DictKeys::unicode_entries(keys);
        (*keys).dk_log2_size <= (*keys).dk_log2_index_bytes && (*entry).me_key == key && (value.is_null() || (*entry).me_value == value)
    }
}

unsafe fn thread_state(ts: *mut ThreadState) -> Check {
    // SAFETY: the running thread's state; its size and the fields named by _Py_DebugOffsets were compared.
    unsafe {
        expect!((*ts).interp == ffi::PyInterpreterState_Get(), "a thread state's interpreter is elsewhere");
        let limit = ffi::Py_GetRecursionLimit();
        let left = (*ts).py_recursion_remaining;
        expect!((*ts).py_recursion_limit == limit && left <= limit && left > -1000, "a thread state's recursion counters are elsewhere");
        expect!(
            (*ts).tracing >= 0 && (*ts).tracing < 1000 && (-1..64).contains(&(*ts).what_event),
            "a thread state's tracing counters are elsewhere"
        );
        expect!((*ts).current_exception.is_null(), "an exception is set, or a thread state's exception is elsewhere");
        ffi::PyErr_SetNone(ffi::PyExc_KeyError);
        let raised = (*ts).current_exception;
        let right = !raised.is_null() && (*raised).ob_type.cast() == ffi::PyExc_KeyError;
        ffi::PyErr_Clear();
        expect!(right, "a thread state's exception is elsewhere");

        // The chain of handled exceptions ends at the item inside the thread state.
        let mut item: *mut ErrStackItem = (*ts).exc_info;
        let last = &raw mut (*ts).exc_state;
        let mut steps = 0;
        while !item.is_null() && item != last && steps < 100_000 {
            item = (*item).previous_item;
            steps += 1;
        }
        expect!(item == last, "a thread state's handled exceptions are elsewhere");

        // Made when first asked for, so it is asked for only if it is there.
        expect!((*ts).dict.is_null() || (*ts).dict == ffi::PyThreadState_GetDict(), "a thread state's dict is elsewhere");
        expect!((*ts).id == ffi::PyThreadState_GetID(ts.cast()) as u64, "a thread state's id is elsewhere");
        expect!(!(*ts).context_is_wrong(), "a thread state's context is elsewhere");
        expect!((*ts).coroutine_origin_tracking_depth >= 0, "a thread state's origin tracking is elsewhere");

        let chunk = (*ts).datastack_chunk;
        if !chunk.is_null() {
            let size = (*chunk).size;
            let (top, end) = ((*ts).datastack_top as usize, (*ts).datastack_limit as usize);
            expect!(
                size.is_multiple_of(DATA_STACK_CHUNK_SIZE as usize)
                    && end == chunk as usize + size
                    && top >= (&raw const (*chunk).data) as usize
                    && top <= end,
                "the data stack is elsewhere"
            );
        }
        let all: *mut ThreadStateImpl = ts.cast();
        let (soft, hard, top) = ((*all).c_stack_soft_limit, (*all).c_stack_hard_limit, (*all).c_stack_top);
        expect!(hard <= soft && soft < top && (*all).refcount >= 1, "the limits of the C stack are elsewhere");
    }
    Ok(())
}

impl ThreadState {
    /// `context` must be NULL or a `Context`.
    unsafe fn context_is_wrong(&self) -> bool {
        // SAFETY: a pointer field between two whose offsets were checked; it is NULL or an object.
        unsafe { !self.context.is_null() && (*self.context).ob_type != &raw mut ffi::PyContext_Type }
    }
}

unsafe fn running_frame(ts: *mut ThreadState) -> Check {
    // SAFETY: frames' published offsets were compared; the frame that is importing us is alive.
    unsafe {
        let mut fr = (*ts).current_frame;
        while !fr.is_null() && (*fr).owner >= frame_owner::INTERPRETER {
            fr = (*fr).previous;
        }
        if fr.is_null() {
            return Ok(()); // imported by C code, no Python function is running
        }
        let code = (*fr).code();
        expect!((*code.cast::<PyObject>()).ob_type == &raw mut ffi::PyCode_Type, "a frame's code is elsewhere");
        let at = Frame::instr_index(fr);
        expect!(at >= 0 && (at as usize) < CodeObject::len(code), "a frame's instruction pointer is elsewhere");
        let depth = (*fr).stackpointer.offset_from(Frame::stack_base(fr));
        expect!(depth >= 0 && depth <= (*code).co_stacksize as isize, "a frame's stack pointer is elsewhere");
        if Frame::is_incomplete(fr) {
            return Ok(());
        }
        expect!((*fr).f_globals == ffi::PyEval_GetGlobals(), "a frame's globals are elsewhere");
        expect!((*fr).f_builtins == ffi::PyEval_GetBuiltins(), "a frame's builtins are elsewhere");
        expect!((*fr).return_offset < 64, "a frame's return offset is elsewhere");
        let object = ffi::PyEval_GetFrame(); // borrowed from the frame
        expect!((*fr).frame_obj == object, "a frame's object is elsewhere");
        expect!((*object.cast::<FrameObject>()).f_frame == fr, "a frame object's frame is elsewhere");
    }
    Ok(())
}

unsafe fn interpreter(interp: *mut interp::InterpreterState) -> Check {
    // SAFETY: the size of the struct was compared, so that every offset is inside it.
    unsafe {
        let evaluator = interp::eval_frame(interp);
        let public = api::_PyInterpreterState_GetEvalFrameFunc(interp);
        expect!(
            evaluator == public || (evaluator.is_null() && public == api::_PyEval_EvalFrameDefault as *mut _),
            "the interpreter's frame evaluator is elsewhere"
        );
        let consts = *interp::common_consts(interp);
        expect!(
            consts[0] == ffi::PyExc_AssertionError
                && consts[1] == ffi::PyExc_NotImplementedError
                && consts[2] == (&raw mut ffi::PyTuple_Type).cast(),
            "the interpreter's common constants are elsewhere"
        );
        for (offset, ty, name) in [
            (interp::CALLABLE_LIST_APPEND, &raw mut ffi::PyList_Type, c"append"),
            (interp::CALLABLE_OBJECT_GETATTRIBUTE, &raw mut ffi::PyBaseObject_Type, c"__getattribute__"),
        ] {
            let name = owned(ffi::PyUnicode_InternFromString(name.as_ptr()), "a str")?;
            let found = api::_PyType_Lookup(ty, name.as_ptr());
            let cached: *mut *mut PyObject = interp::field(interp, offset);
            expect!(*cached == found, "the interpreter's callable cache is elsewhere");
        }
        for (offset, name) in [(interp::CALLABLE_LEN, c"len"), (interp::CALLABLE_ISINSTANCE, c"isinstance")] {
            let f: *mut CFunctionObject = *interp::field(interp, offset);
            expect!(
                !f.is_null() && (*f).ob_base.ob_type == &raw mut ffi::PyCFunction_Type && CStr::from_ptr((*(*f).m_ml).ml_name) == name,
                "the interpreter's callable cache is elsewhere"
            );
        }
        let jit = *interp::jit(interp);
        expect!(jit <= 1, "the interpreter's JIT switch is elsewhere");
        // sys._jit says what the switch should be; a Python without that module has no JIT.
        let module = ffi::PySys_GetObject(c"_jit".as_ptr());
        if !module.is_null() {
            let on = owned(
                ffi::PyObject_CallMethodNoArgs(module, owned(ffi::PyUnicode_InternFromString(c"is_enabled".as_ptr()), "a str")?.as_ptr()),
                "sys._jit.is_enabled()",
            )?;
            expect!((on.as_ptr() == ffi::Py_True()) == (jit == 1), "the interpreter's JIT switch is elsewhere");
        }
        // With no tool registered and nothing traced there is no bit in the table of tools.
        let names: *const [*mut PyObject; 8] = interp::field(interp, interp::MONITORING_TOOL_NAMES);
        let ts = ThreadState::current();
        if (*names).iter().all(|n| n.is_null()) && (*ts).c_tracefunc.is_null() && (*ts).c_profilefunc.is_null() {
            let tools = (*interp::monitors(interp)).tools;
            // Bits 6 and 7 belong to sys.setprofile and sys.settrace, perhaps of other threads.
            expect!(tools.iter().all(|t| t & 0x3f == 0), "the interpreter's monitors are elsewhere");
        }
    }
    Ok(())
}

unsafe fn made_by_source() -> Check {
    // SAFETY: the GIL is held; the code is our own, runs no foreign code and leaves no exception set.
    unsafe {
        let code = owned(ffi::Py_CompileString(SOURCE.as_ptr(), c"<cendre layout check>".as_ptr(), ffi::Py_file_input), "a code object")?;
        let space = owned(ffi::PyDict_New(), "a dict")?;
        let name = owned(ffi::PyUnicode_InternFromString(c"__name__".as_ptr()), "a str")?;
        expect!(
            ffi::PyDict_SetItem(space.as_ptr(), name.as_ptr(), name.as_ptr()) == 0
                && ffi::PyDict_SetItemString(space.as_ptr(), c"__builtins__".as_ptr(), ffi::PyEval_GetBuiltins()) == 0,
            "a dict could not be made"
        );
        drop(owned(ffi::PyEval_EvalCode(code.as_ptr(), space.as_ptr(), space.as_ptr()), "the objects of the self-test")?);
        let get = |name: &CStr| ffi::PyDict_GetItemString(space.as_ptr(), name.as_ptr());
        let (f, i, g) = (get(c"f"), get(c"i"), get(c"g"));
        expect!(!f.is_null() && !i.is_null() && !g.is_null(), "the objects of the self-test could not be made");
        function(f, space.as_ptr())?;
        code_object(ffi::PyFunction_GetCode(f).cast())?;
        let found = instance(i).and_then(|()| generator(g));
        // Functions and their globals hold each other.
        ffi::PyDict_Clear(space.as_ptr());
        found
    }
}

unsafe fn function(f: *mut PyObject, globals: *mut PyObject) -> Check {
    // SAFETY: f is a function made above; the size of functions was compared.
    unsafe {
        let func: *mut FunctionObject = f.cast();
        expect!(
            (*func).func_globals == globals
                && (*func).func_code == ffi::PyFunction_GetCode(f)
                && (*func).func_builtins == ffi::PyEval_GetBuiltins()
                && (*func).func_defaults == ffi::PyFunction_GetDefaults(f)
                && !(*func).func_defaults.is_null()
                && (*func).func_kwdefaults == ffi::PyFunction_GetKwDefaults(f)
                && !(*func).func_kwdefaults.is_null()
                && (*func).func_closure.is_null()
                && (*func).func_module == ffi::PyFunction_GetModule(f),
            "a function is stored differently"
        );
        let call = ffi::PyVectorcall_Function(f);
        expect!(
            call.is_some() && (*func).vectorcall.map(|c| c as usize) == call.map(|c| c as usize),
            "a function's vectorcall is elsewhere"
        );
        let co: *mut CodeObject = (*func).func_code.cast();
        expect!((*co).co_version != 0 && (*func).func_version == (*co).co_version, "a function's version is elsewhere");
        if let Some(call) = call {
            api::PyFunction_SetVectorcall(func, call);
        }
        expect!((*func).func_version == FUNC_VERSION_CLEARED, "a function's version is elsewhere");
    }
    Ok(())
}

unsafe fn attr(o: *mut PyObject, name: &CStr) -> Result<Owned, String> {
    // SAFETY: the GIL is held. Interned, because the type cache keeps every name that it sees.
    unsafe {
        let name = owned(ffi::PyUnicode_InternFromString(name.as_ptr()), "a str")?;
        owned(ffi::PyObject_GetAttr(o, name.as_ptr()), "an attribute")
    }
}

unsafe fn code_object(co: *mut CodeObject) -> Check {
    // SAFETY: a code object made above that has run no line, so that nothing in it is specialised.
    unsafe {
        let ob: *mut PyObject = co.cast();
        for (field, name) in
            [((*co).co_consts, c"co_consts"), ((*co).co_names, c"co_names"), ((*co).co_exceptiontable, c"co_exceptiontable")]
        {
            expect!(field == attr(ob, name)?.as_ptr(), "a code object's {name:?} is elsewhere");
        }
        for (field, name) in [
            ((*co).co_flags, c"co_flags"),
            ((*co).co_posonlyargcount, c"co_posonlyargcount"),
            ((*co).co_kwonlyargcount, c"co_kwonlyargcount"),
            ((*co).co_stacksize, c"co_stacksize"),
            ((*co).co_nlocals, c"co_nlocals"),
        ] {
            let value = LongObject::try_compact(attr(ob, name)?.as_ptr());
            expect!(value == Some(i64::from(field)), "a code object's {name:?} is elsewhere");
        }
        expect!(
            ((*co).co_nlocalsplus, (*co).co_ncellvars, (*co).co_nfreevars) == (3, 0, 0)
                && (*co).co_framesize as usize == 3 + (*co).co_stacksize as usize + FRAME_SPECIALS_SIZE,
            "a code object's sizes are elsewhere"
        );
        let bytes = attr(ob, c"co_code")?;
        let text: *const c_char = ffi::PyBytes_AsString(bytes.as_ptr());
        expect!(ffi::PyBytes_Size(bytes.as_ptr()) as usize == 2 * CodeObject::len(co), "a code object's size is elsewhere");
        let first = *CodeObject::units(co);
        expect!(
            first == CodeUnit::new(*text as u8, *text.add(1) as u8) && (*co)._co_firsttraceable == 0,
            "a code object's first instruction is elsewhere"
        );
        // The getter of co_varnames keeps its tuple behind _co_cached; a weak reference shows in co_weakreflist. Between
        // these and _co_firsttraceable lie just the fields that nothing can be seen of from here.
        let names = attr(ob, c"co_varnames")?;
        let cached: *mut [*mut PyObject; 4] = (*co)._co_cached.cast();
        expect!(!cached.is_null() && (*cached)[1] == names.as_ptr(), "a code object's cached attributes are elsewhere");
        let weak = owned(ffi::PyWeakref_NewRef(ob, null_mut()), "a weak reference")?;
        expect!((*co).co_weakreflist == weak.as_ptr(), "a code object's weak references are elsewhere");
        expect!((*co).co_executors.is_null() && (*co)._co_monitoring.is_null(), "a new code object carries executors or monitoring data");
        expect!((*co)._co_instrumentation_version & 0xff == 0, "a code object's instrumentation version is elsewhere");
    }
    Ok(())
}

unsafe fn instance(i: *mut PyObject) -> Check {
    // SAFETY: an instance of a class made above; flags are compared before the memory that they promise is read.
    unsafe {
        let class = (*i).ob_type;
        let wanted = tp_flags::INLINE_VALUES | tp_flags::MANAGED_DICT | tp_flags::HEAPTYPE;
        expect!((*class).tp_flags & wanted == wanted, "instances have no inline values");
        let x = owned(ffi::PyUnicode_InternFromString(c"x".as_ptr()), "a str")?;
        let keys = (*class.cast::<HeapTypeObject>()).ht_cached_keys;
        expect!(!keys.is_null() && keys_hold(keys, keys_kind::SPLIT, x.as_ptr(), null_mut()), "a class's shared keys are elsewhere");
        let values = DictValues::of_instance(i);
        expect!(
            ((*values).valid, (*values).embedded, (*values).size) == (1, 1, 1)
                && (*values).capacity as usize <= crate::dict::SHARED_KEYS_MAX_SIZE
                && *DictValues::items(values) == longobject::small_int_zero().add(5).cast(),
            "inline values are stored differently"
        );
        let slot: *mut *mut DictObject = i.byte_offset(MANAGED_DICT_OFFSET).cast();
        expect!((*slot).is_null(), "an instance's dict is elsewhere");
        let dict = attr(i, c"__dict__")?;
        expect!(
            (*slot).cast() == dict.as_ptr() && (**slot).ma_values == values && (**slot).ma_keys == keys,
            "an instance's dict is elsewhere"
        );
        api::PyUnstable_Type_AssignVersionTag(class);
        let tag = (*class).tp_version_tag;
        ffi::PyType_Modified(class);
        expect!(tag != 0 && (*class).tp_version_tag == 0, "a type's version tag is elsewhere");
        expect!((*class).tp_dictoffset == -1, "a type's dict offset is elsewhere");
    }
    Ok(())
}

unsafe fn generator(g: *mut PyObject) -> Check {
    // SAFETY: a suspended generator made above; its published offsets and its size were compared.
    unsafe {
        let gener: *mut GenObject = g.cast();
        expect!((*gener).gi_frame_state == frame_state::FRAME_SUSPENDED, "a generator's state is different");
        let handled = (*gener).gi_exc_state.exc_value;
        expect!(!handled.is_null() && (*handled).ob_type.cast() == ffi::PyExc_KeyError, "a generator's handled exception is elsewhere");
        let weak = owned(ffi::PyWeakref_NewRef(g, null_mut()), "a weak reference")?;
        expect!((*gener).gi_weakreflist == weak.as_ptr(), "a generator's weak references are elsewhere");
        expect!((*gener).gi_qualname == attr(g, c"__qualname__")?.as_ptr(), "a generator's qualified name is elsewhere");
        let fr = &raw mut (*gener).gi_iframe;
        expect!(
            (*fr).owner == frame_owner::GENERATOR
                && GenObject::from_frame(fr) == gener

                // The traceback of the handled exception holds the frame.
                && !(*fr).frame_obj.is_null()
                && (*(*fr).frame_obj.cast::<FrameObject>()).f_frame == fr,
            "a generator's frame is different"
        );
        let at = Frame::instr_index(fr);
        expect!(at > 0 && (at as usize) < CodeObject::len((*fr).code()), "a generator's frame is different");
        // The stack of a generator in a handler: the exception that was handled before (None) and the handler's own.
        let depth = (*fr).stackpointer.offset_from(Frame::stack_base(fr));
        expect!(depth >= 1 && depth <= (*(*fr).code()).co_stacksize as isize, "a generator's stack is different");
        const _: () = assert!(offset_of!(GenObject, gi_iframe) + size_of::<Frame>() == size_of::<GenObject>());
        const _: () = assert!(size_of::<c_int>() == 4);
    }
    Ok(())
}
