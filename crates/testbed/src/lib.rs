//! Machines for tests: the appliance image, QEMU guests, their consoles, and the lab beside an appliance.
//!
//! * [`image`] builds what boots: the quick image (Debian's kernel, picked binaries, our programs, `rootfs-overlay/`)
//!   and the test guest (the same kernel with Debian's own tools).
//! * [`qemu`] runs a machine and takes it away again, whatever happens to the test.
//! * [`console`] types on a serial line as a person would and reads what comes back.
//! * [`lab`] is a second guest: a client and two real servers on two networks wired to the appliance.
//! * [`null_modem`] is the cable between two appliances' serial ports, which can be pulled.
//! * [`guest`] runs one job program in one guest and brings its exit code and files out.
//! * [`powercut`] is a disk that forgets, and the driver that cuts it.
//! * `cases` and `measure` (feature `cases`) run inside a guest: what must hold with the real kernel, and how fast.
//! * [`limits`] holds the only waiting function and the only table of time limits.
//!
//! No KVM anywhere: hosts of this project have none that works, and TCG gives the same result everywhere.
#![forbid(unsafe_code)]

#[cfg(feature = "cases")]
pub mod cases;
pub mod console;
pub mod guest;
pub mod host;
pub mod image;
pub mod lab;
pub mod limits;
pub mod links;
#[cfg(feature = "cases")]
pub mod measure;
pub mod null_modem;
pub mod powercut;
pub mod qemu;
