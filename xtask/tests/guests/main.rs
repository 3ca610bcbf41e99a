//! Tests that build guests as their authors do, and run them: in other workspaces, and by the commands of the documents.

#[path = "../common/mod.rs"]
mod common;

mod answers;
mod c_guests;
mod compile_errors;
mod docs;
mod elsewhere;
mod grade;
mod without_kvm;
