//! Rust: `extern "C"`. Rows of rows.f32 in, points.i32 and answers.f32 out.

use std::ffi::{c_char, CStr};
use std::fs;

extern "C" {
    fn model_n_columns() -> i32;
    fn model_n_points() -> i32;
    fn model_n_answers() -> i32;
    fn model_selftest() -> i32;
    fn model_id() -> *const c_char;
    fn model_points_many(rows: *const f32, n: usize, points: *mut i32);
    fn model_answers_many(rows: *const f32, n: usize, answers: *mut f32);
}

fn main() -> std::io::Result<()> {
    let data = fs::read("rows.f32")?;
    let number = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
    let rows: Vec<f32> = data.chunks_exact(4).map(number).collect();
    let (n_columns, n_points, n_answers) = unsafe { (model_n_columns(), model_n_points(), model_n_answers()) };
    let n = rows.len() / n_columns as usize;
    let mut points = vec![0i32; n * n_points as usize];
    let mut answers = vec![0f32; n * n_answers as usize];
    let (id, wrong) = unsafe {
        model_points_many(rows.as_ptr(), n, points.as_mut_ptr());
        model_answers_many(rows.as_ptr(), n, answers.as_mut_ptr());
        (CStr::from_ptr(model_id()).to_string_lossy(), model_selftest())
    };
    fs::write("points.i32", points.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())?;
    fs::write("answers.f32", answers.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())?;
    fs::write("said.txt", format!("{id} {wrong}"))
}
