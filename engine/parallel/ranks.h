// How this process learns which rank it is, and joins the others.
#pragma once

#include <functional>
#include <string>

#include "engine/parallel/comm.h"

namespace fp {

// The value of a variable of the environment; null where it is not set.
using Environment = std::function<const char*(const char* variable)>;
const char* process_environment(const char* variable);

// The numbers that a launcher gave this process, by its variables; the first family that is there counts:
//
//   torchrun   RANK, WORLD_SIZE, LOCAL_RANK (LOCAL_WORLD_SIZE)
//   Open MPI   OMPI_COMM_WORLD_RANK, _SIZE, _LOCAL_RANK (_LOCAL_SIZE)
//   Slurm      SLURM_PROCID, SLURM_NTASKS, SLURM_LOCALID, in a step of srun (SLURM_STEP_ID): in the script of a job the
//              same variables stand for one process that is no rank
//
// Without any: one rank. Where local_ranks is not said it is 0 until join_ranks has counted. Exit::usage where one of a
// family's variables is missing, naming it, or is no number of its range.
Ranks ranks_of_launcher(const Environment& = process_environment);

// Where and how ranks join.
struct JoinSettings {
    std::string library;   // of host memory: tcp or mpi
    bool nccl = true;      // whether GPUs exchange by NCCL; else through the host
    std::string address;   // tcp: where rank 0 is
    int port = 0;          // tcp: where rank 0 listens
    std::string run;       // tcp: tells this run's ranks from another's
    double seconds = 600;  // a call that waits longer for another rank is an Error
};

// From the environment:
//
//   FAIRPRUNE_COLLECTIVES   tcp or mpi: both for host memory and GPUs; nccl: GPUs. Without it: mpi under Open MPI, and
//                           under Slurm with PMIx unless MASTER_ADDR is set; else tcp. GPUs exchange by NCCL.
//   MASTER_ADDR             rank 0's host; without it 127.0.0.1, where all ranks are on one
//   MASTER_PORT             torchrun's own, 29500 without it: rank 0 listens at the next one
//   FAIRPRUNE_PORT          where rank 0 listens instead
//   FAIRPRUNE_TIMEOUT       seconds that a call may wait for another rank
//
// Exit::usage for a value that is none of these, and where an address is needed and missing.
JoinSettings join_settings(const Ranks&, const Environment& = process_environment);

// Joins the other ranks and makes them this process's world(). Before other threads use world(). One rank joins nobody.
// Exit::device where a rank does not come within 60 s, where a port is in use, where two ranks are not of one run.
const Comm& join_ranks(const Ranks&, const JoinSettings&);
const Comm& join_ranks(const Ranks&);  // with the environment's settings

// After `k` has been chosen and its GPU selected, on every rank: from now on world() exchanges its memory by NCCL. Does
// nothing where `k` computes on no GPU, where JoinSettings leave NCCL out, and with one rank. Exit::device where NCCL is
// missing, where two ranks of a host have one GPU, and where some ranks have a GPU and others do not.
void join_gpus(const Kernels& k);

// For the end of a program whose ranks are all done: waits for them and closes the connections. After a failure call
// world().abort() instead.
void leave_ranks();

// The GPU of a rank for `--device cuda`: its local rank, or 0 where CUDA_VISIBLE_DEVICES leaves one.
int gpu_of(const Ranks&, const Environment& = process_environment);
// The share of a host's cores that a rank has, at least 1.
int threads_of(const Ranks&, int cores);

}  // namespace fp
