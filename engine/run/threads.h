// How the host's threads wait for work, and where they run.
#pragma once

namespace fp {

// For programs, at the start of main, before files are opened or locked. Settings of the OpenMP library and of malloc
// that can only be made around their start:
//
// Idle threads spin for some 20 us instead of milliseconds before they sleep. Spinning costs nothing on an idle
// machine, but beside four builds a training step took 12.6 s with GCC's default and 2.5 to 2.7 s with 1,000 to 20,000
// spins; alone it takes 0.3 s either way. The library reads GOMP_SPINCOUNT before main, so this sets it and executes
// the program again, unless GOMP_SPINCOUNT or OMP_WAIT_POLICY is set.
//
// Then large blocks of malloc ask for huge pages too, as those of the host's kernels do, unless GLIBC_TUNABLES is set: to
// read a ResNet-18 and predict an image, 10,000 pages are touched for the first time instead of 50,000.
//
// OMP_PROC_BIND and GOMP_CPU_AFFINITY bind the first thread to one core, which threads that it starts (of the loader)
// would share with it: it may run on all cores again that the library found.
void prepare_threads();

}  // namespace fp
