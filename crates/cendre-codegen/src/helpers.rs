//! The runtime helpers that machine code calls, by name: which hidden arguments each gets before the visible ones.
//!
//! Invariant: a name here is exported by the runtime with exactly this prefix; results follow the IR instruction that calls it
//! (`call.obj`: pointer, `call.status`/`call.bool`/`call.int`: i32 or i64 with -1 for an error, `call.pair`: two registers).
//! Stack ops (`op_*`) are not listed: machine code calls all of them as `(ts, fr, counts, own) -> i32`.

/// Hidden arguments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Prefix {
    None,
    /// the thread state
    Thread,
    /// thread state and frame
    Frame,
}

/// One helper.
#[derive(Clone, Copy, Debug)]
pub struct Helper {
    pub name: &'static str,
    pub prefix: Prefix,
}

const fn h(name: &'static str, prefix: Prefix) -> Helper {
    Helper { name, prefix }
}

/// The table.
pub static HELPERS: &[Helper] = &[
    // containers
    h("list_append", Prefix::None),
    h("set_add", Prefix::None),
    h("map_add", Prefix::None),
    h("list_extend", Prefix::Thread),
    h("set_update", Prefix::Thread),
    h("dict_update", Prefix::Thread),
    h("dict_merge", Prefix::Thread),
    h("spread_map", Prefix::Thread),
    // generic operations
    h("for_iter", Prefix::Frame),
    h("binary_op", Prefix::Thread),
    h("compare_op", Prefix::Thread),
    h("is_true", Prefix::None),
    h("contains", Prefix::None),
    h("get_attr", Prefix::None),
    h("store_attr", Prefix::None),
    h("subscr", Prefix::None),
    h("store_subscr", Prefix::None),
    h("call_vector", Prefix::Thread),
    h("call_owned", Prefix::Thread),
    h("finish_call", Prefix::Thread),
    h("call_slots", Prefix::Thread),
    h("keyword_default_of", Prefix::None),
    h("unbound_local_error", Prefix::Frame),
    h("leave_frame", Prefix::Frame),
    h("raise_frame", Prefix::Frame),
    h("dealloc", Prefix::None),
    h("dealloc_watching", Prefix::Frame),
    h("handle_pending", Prefix::Frame),
    // exceptions
    h("raise_one", Prefix::Thread),
    h("exception_matches", Prefix::Thread),
    h("exception_matches_any", Prefix::Thread),
    h("trace_exception", Prefix::Frame),
    h("forget_exception", Prefix::Frame),
    // numbers and slots
    h("box_int", Prefix::None),
    h("box_float", Prefix::None),
    h("unbox_int_slow", Prefix::None),
    h("sync_int", Prefix::Frame),
    h("sync_float", Prefix::Frame),
    h("sync_bool", Prefix::Frame),
    h("home_int", Prefix::Frame),
    h("home_float", Prefix::Frame),
    h("object_of_int", Prefix::Frame),
    h("object_of_float", Prefix::Frame),
    h("slot_is_plain", Prefix::Frame),
    h("str_concat", Prefix::None),
    h("str_eq", Prefix::None),
    h("float_pow", Prefix::None),
    h("new_object", Prefix::None),
    h("clear_slots", Prefix::None),
    h("append_to_slot", Prefix::Frame),
    h("get_attr_cached", Prefix::None),
    h("get_method_cached", Prefix::None),
    h("set_attr_cached", Prefix::None),
    h("length", Prefix::None),
    h("is_instance", Prefix::None),
    h("str_of", Prefix::None),
    h("type_of", Prefix::None),
    h("init_not_none", Prefix::None),
    // generators and awaits
    h("await_call", Prefix::Frame),
    h("await_words", Prefix::Frame),
    h("pass_call", Prefix::Frame),
    h("await_finish", Prefix::Frame),
    h("await_watched", Prefix::None),
    h("send", Prefix::Frame),
    h("send_finish", Prefix::Thread),
    h("next_finish", Prefix::Thread),
    h("gen_next", Prefix::Frame),
    h("get_awaitable", Prefix::None),
    h("drop_receiver", Prefix::Frame),
    h("make_generator", Prefix::Frame),
];

/// The row of a name.
pub(crate) fn find(name: &str) -> Option<&'static Helper> {
    HELPERS.iter().find(|h| h.name == name)
}
