//! The asyncio layer: tasks and futures of `_asyncio` stepped natively, and children that start early where nobody can tell.
//!
//! Stock's objects stay what they are: names, `all_tasks`, `cancel`, repr, call graph are asyncio's own. Taken over are four
//! slots (a step wrapper's call, the wake-up, a future iterator's two ways of being sent to) and, for loops that were
//! installed, the part of an iteration that runs the queue.
//! Invariant: for a loop that was not installed every hook hands on to asyncio's own function. Read docs/internals/tasks.md.

// A panic must not cross into C: nothing here panics by itself, and where an index is taken on trust the reason stands beside it.
#![cfg_attr(
    not(test),
    warn(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::todo,
        clippy::unimplemented,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

pub mod api;
mod attrs;
mod bind;
mod clock;
mod eager;
mod early;
mod exit;
mod family;
mod fanout;
mod front;
mod future;
mod group;
mod layout;
mod look;
mod makers;
mod parts;
mod queue;
mod shelf;
mod sites;
mod state;
mod step;
