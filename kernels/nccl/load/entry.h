// How the program and the shared object of NCCL's calls know each other.
#pragma once

#include "kernels/nccl/nccl.h"

constexpr int kNcclIdBytes = 128, kNcclGpuBytes = 32;

extern "C" void fairprune_nccl_gpu(char* address);  // kNcclGpuBytes, a text
extern "C" void fairprune_nccl_id(char* id);        // kNcclIdBytes
extern "C" void fairprune_nccl_open(const fp::NcclSettings* settings, const char* id, fp::Collectives* opened);
