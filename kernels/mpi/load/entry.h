// How the program and the shared object of MPI's calls know each other.
#pragma once

#include "kernels/mpi/mpi.h"

extern "C" void fairprune_mpi_open(const fp::MpiSettings* settings, fp::Collectives* opened);
