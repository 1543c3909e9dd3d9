//! Where all randomness of the process comes from: the seed. And its time: the simulated one.
//!
//! The standard library's hash maps, tokio's `select!`, `rand` and `uuid` ask the C library's
//! `getrandom`, or the kernel through its `syscall`. This program has functions of these names, which
//! the linker (and the dynamic linker, for those who look a name up) prefers to the C library's. Until a
//! seed is set they ask the kernel, as the originals do; then the answer comes from a generator. That
//! leaves neither hash seeds nor identifiers nor election timers to chance, without a flag that would
//! rebuild every dependency.
//!
//! The same is done for `clock_gettime`: libraries that ask the standard library for the time, not
//! tokio (h2 forgets the streams that it has reset after a second), get simulated time.

#![allow(unsafe_code, reason = "three C functions are replaced; each block has its proof")]

use std::{
    arch::asm,
    ffi::{c_int, c_long, c_uint, c_void},
    ptr,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

static SEEDED: AtomicBool = AtomicBool::new(false);
static STATE: AtomicU64 = AtomicU64::new(0);
static NOW_US: AtomicU64 = AtomicU64::new(0);

/// Where the simulated clocks of the C library begin, in seconds.
const CLOCK_START_S: i64 = 1_800_000_000;

/// From now on all randomness of this process follows from `seed`.
pub fn seed(seed: u64) {
    STATE.store(seed, Ordering::SeqCst);
    SEEDED.store(true, Ordering::SeqCst);
}

/// Once a seed is set: what time it is, in microseconds since the beginning.
pub fn set_time_us(us: u64) {
    NOW_US.store(us, Ordering::SeqCst);
}

/// The next number: SplitMix64, whose state may be advanced by anybody at any time.
fn next() -> u64 {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut word = STATE.fetch_add(STEP, Ordering::SeqCst).wrapping_add(STEP);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// The C library's `getrandom`, replaced.
///
/// # Safety
/// As of the original: `buffer` is valid for writes of `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut c_void, length: usize, flags: c_uint) -> isize {
    if !SEEDED.load(Ordering::SeqCst) {
        let (buffer, length) = (buffer.expose_provenance(), length.cast_signed());
        // SAFETY: the arguments are those of the system call, and the caller vouches for them.
        let written = unsafe {
            enter(
                libc::SYS_getrandom,
                [buffer.cast_signed() as c_long, length as c_long, c_long::from(flags), 0, 0, 0],
            )
        };
        return written as isize;
    }
    if length == 0 {
        // Some ask with an empty, perhaps dangling buffer whether the function works.
        return 0;
    }
    // SAFETY: the caller vouches for `length` writable bytes, which nobody else uses meanwhile;
    // bytes have no invalid values, and every one is written below before it is read.
    let bytes = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length) };
    for chunk in bytes.chunks_mut(8) {
        chunk.copy_from_slice(&next().to_le_bytes()[..chunk.len()]);
    }
    length.cast_signed()
}

/// The C library's `syscall`, replaced: older versions of `getrandom` (the crate) ask the kernel by
/// it. It is variadic there; its arguments are integers and pointers, which this ABI passes in the same
/// registers and on the same place of the stack either way.
///
/// # Safety
/// As of the original: the arguments are right for the system call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syscall(
    number: c_long,
    a: c_long,
    b: c_long,
    c: c_long,
    d: c_long,
    e: c_long,
    f: c_long,
) -> c_long {
    if number == libc::SYS_getrandom && SEEDED.load(Ordering::SeqCst) {
        let buffer = ptr::with_exposed_provenance_mut(a.cast_unsigned() as usize);
        // SAFETY: the arguments are those of `getrandom`, and the caller vouches for them.
        return unsafe { getrandom(buffer, b.cast_unsigned() as usize, 0) } as c_long;
    }
    // SAFETY: the caller vouches for the arguments.
    unsafe { enter(number, [a, b, c, d, e, f]) }
}

/// The C library's `clock_gettime`, replaced: every clock shows simulated time.
///
/// # Safety
/// As of the original: `time` is valid for writes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> c_int {
    if !SEEDED.load(Ordering::SeqCst) {
        let time = time.expose_provenance().cast_signed() as c_long;
        // SAFETY: the arguments are those of the system call, and the caller vouches for them.
        let done =
            unsafe { enter(libc::SYS_clock_gettime, [c_long::from(clock), time, 0, 0, 0, 0]) };
        return if done == 0 { 0 } else { -1 };
    }
    let us = NOW_US.load(Ordering::SeqCst).cast_signed();
    let now =
        libc::timespec { tv_sec: CLOCK_START_S + us / 1_000_000, tv_nsec: us % 1_000_000 * 1000 };
    // SAFETY: the caller vouches that it may be written.
    unsafe { time.write(now) };
    0
}

/// Enters the kernel. An error is -1 and `errno`.
///
/// # Safety
/// The arguments are right for the system call.
unsafe fn enter(number: c_long, [a, b, c, d, e, f]: [c_long; 6]) -> c_long {
    let result: c_long;
    // SAFETY: the convention of x86-64 Linux: the number in rax, arguments in rdi, rsi, rdx, r10, r8
    // and r9, the result in rax; the kernel overwrites rcx and r11 and nothing else. What the call does
    // to memory is what its arguments say, for which the caller vouches.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    if !(-4095..0).contains(&result) {
        return result;
    }
    // SAFETY: the C library has an `errno` for each thread, valid as long as the thread is.
    unsafe { *libc::__errno_location() = i32::try_from(-result).unwrap_or(libc::EIO) };
    -1
}
