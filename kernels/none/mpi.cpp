// Linked in place of MPI when the build leaves it out.
#include "kernels/mpi/mpi.h"
#include "kernels/error.h"

namespace fp::mpi {

Collectives open(const MpiSettings&) {
    fail_with(Exit::device,
              "this build has no MPI: install libopenmpi-dev (tools/install-deps mpi) and build again, or set "
              "FAIRPRUNE_COLLECTIVES=tcp and MASTER_ADDR to the first host's name");
}

}  // namespace fp::mpi
