// Exchanges between hosts by MPI, for processes that mpirun has started.
#pragma once

#include "kernels/ops/collectives.h"

namespace fp {

struct MpiSettings {
    int rank = 0, ranks = 1;  // as the launcher's variables say: MPI has to say the same
    double seconds = 600;     // limit of a call
};

}  // namespace fp

namespace fp::mpi {

// Starts MPI in this process; its calls may come from any thread, one at a time. Exit::device where this build has no MPI,
// and where MPI knows of other ranks. A call that fails leaves ending the others to `abort`, which is MPI_Abort.
Collectives open(const MpiSettings&);

}  // namespace fp::mpi
