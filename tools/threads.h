// How the host's threads wait for their next piece of work.
#pragma once

namespace fp {

// GCC's OpenMP threads spin for milliseconds before they sleep, which costs nothing while nobody else wants
// the processors and everything when somebody does: beside four builds a training step took 12.6 s that
// takes 2.5 to 2.7 s with threads that sleep after 1,000 to 20,000 spins, and 0.3 s alone either way. The
// library reads its setting before main, so the program sets GOMP_SPINCOUNT and starts itself once more;
// whoever has set that or OMP_WAIT_POLICY is left alone. To be called before files are opened or locked.
void wait_briefly();

}  // namespace fp
