//! Compiles the C files in `src`. More flags of the compiler can stand here, for example `&["-DITEMS=5"]`.

fn main() {
    guest_c_build::compile(&[]);
}
