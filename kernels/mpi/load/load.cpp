// Opens MPI when ranks join by it.
#include "kernels/module.h"
#include "kernels/mpi/load/entry.h"

namespace fp::mpi {

Collectives open(const MpiSettings& settings) {
    static const auto opens = Module("mpi").function<decltype(&fairprune_mpi_open)>("fairprune_mpi_open");
    Collectives opened;
    opens(&settings, &opened);
    return opened;
}

}  // namespace fp::mpi
