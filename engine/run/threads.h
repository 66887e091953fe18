// How the host's threads wait for their next piece of work.
#pragma once

namespace fp {

// For programs, at the start of main: lets idle OpenMP threads spin for some 20 us instead of milliseconds before they
// sleep. Spinning costs nothing on an idle machine, but beside four builds a training step took 12.6 s with GCC's
// default and 2.5 to 2.7 s with 1,000 to 20,000 spins; alone it takes 0.3 s either way.
//
// The OpenMP library reads its setting before main, so this sets GOMP_SPINCOUNT and executes the program again. It does
// nothing where GOMP_SPINCOUNT or OMP_WAIT_POLICY is set. Call it before files are opened or locked.
void wait_briefly();

}  // namespace fp
