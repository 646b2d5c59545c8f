//! The asyncio layer: tasks and futures of `_asyncio` stepped natively, and children that start early where nobody can tell.
//!
//! Stock's objects stay what they are: names, `all_tasks`, `cancel`, repr, call graph are asyncio's own. Taken over are four
//! slots (a step wrapper's call, the wake-up, a future iterator's two ways of being sent to) and, for loops that were
//! installed, the part of an iteration that runs the queue.
//! Invariant: for a loop that was not installed every hook hands on to asyncio's own function. Read docs/internals/tasks.md.

pub mod api;
mod early;
mod future;
mod layout;
mod queue;
mod state;
mod step;
