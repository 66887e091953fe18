#include "engine/parallel/ranks.h"

#include <map>

#include "tests/expect_error.h"

namespace fp::testing {
namespace {

using Variables = std::map<std::string, std::string>;

Environment of(const Variables& variables) {
    return [variables](const char* name) {
        const auto found = variables.find(name);
        return found == variables.end() ? nullptr : found->second.c_str();
    };
}
Variables with(Variables all, const Variables& more) {
    for (const auto& [name, value] : more) all[name] = value;
    return all;
}
Variables without(Variables all, const std::string& name) {
    all.erase(name);
    return all;
}

const Variables kTorchrun{{"RANK", "5"},
                          {"WORLD_SIZE", "8"},
                          {"LOCAL_RANK", "1"},
                          {"LOCAL_WORLD_SIZE", "4"},
                          {"MASTER_ADDR", "node0"},
                          {"MASTER_PORT", "29400"}};
const Variables kOpenMpi{{"OMPI_COMM_WORLD_RANK", "1"},
                         {"OMPI_COMM_WORLD_SIZE", "3"},
                         {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                         {"OMPI_COMM_WORLD_LOCAL_SIZE", "3"}};
const Variables kSlurm{{"SLURM_PROCID", "6"}, {"SLURM_NTASKS", "8"}, {"SLURM_LOCALID", "2"}, {"SLURM_STEP_ID", "0"}};

Ranks ranks(const Variables& v) { return ranks_of_launcher(of(v)); }

TEST(Ranks, WithoutALauncherThereIsOne) {
    const Ranks r = ranks({{"PATH", "/bin"}, {"MASTER_ADDR", "node0"}});
    EXPECT_EQ(r.rank, 0);
    EXPECT_EQ(r.ranks, 1);
    EXPECT_EQ(r.local_ranks, 1);
    EXPECT_EQ(r.launcher, "");
    EXPECT_NE(r.host, "");
}

TEST(Ranks, OfEachLauncher) {
    const Ranks torchrun = ranks(kTorchrun);
    EXPECT_EQ(torchrun.launcher, "torchrun");
    EXPECT_EQ(torchrun.rank, 5);
    EXPECT_EQ(torchrun.ranks, 8);
    EXPECT_EQ(torchrun.local_rank, 1);
    EXPECT_EQ(torchrun.local_ranks, 4);
    EXPECT_EQ(ranks(without(kTorchrun, "LOCAL_WORLD_SIZE")).local_ranks, 0);
    const Ranks open_mpi = ranks(kOpenMpi);
    EXPECT_EQ(open_mpi.launcher, "Open MPI");
    EXPECT_EQ(open_mpi.rank, 1);
    EXPECT_EQ(open_mpi.ranks, 3);
    EXPECT_EQ(open_mpi.local_rank, 1);
    EXPECT_EQ(open_mpi.local_ranks, 3);
    const Ranks slurm = ranks(kSlurm);
    EXPECT_EQ(slurm.launcher, "Slurm");
    EXPECT_EQ(slurm.rank, 6);
    EXPECT_EQ(slurm.ranks, 8);
    EXPECT_EQ(slurm.local_rank, 2);
    EXPECT_EQ(slurm.local_ranks, 0);
    EXPECT_EQ(ranks(with(kSlurm, {{"SLURM_STEP_NUM_NODES", "1"}})).local_ranks, 8);
    EXPECT_EQ(ranks(with(kSlurm, {{"SLURM_STEP_NUM_NODES", "2"}})).local_ranks, 0);
}

TEST(Ranks, TheFirstFamilyCounts) {
    EXPECT_EQ(ranks(with(with(kSlurm, kOpenMpi), kTorchrun)).launcher, "torchrun");
    EXPECT_EQ(ranks(with(kSlurm, kOpenMpi)).launcher, "Open MPI");
}

// sbatch sets the same variables for the script of a job, and salloc some of them.
TEST(Ranks, AJobOfSlurmOutsideAStepIsOneProcess) {
    EXPECT_EQ(ranks(without(kSlurm, "SLURM_STEP_ID")).ranks, 1);
    EXPECT_EQ(ranks({{"SLURM_NTASKS", "8"}}).ranks, 1);
}

TEST(Ranks, HalfAFamilyIsRefused) {
    for (const Variables& family : {kTorchrun, kOpenMpi, kSlurm})
        for (const auto& [name, value] : family) {
            if (name == "LOCAL_WORLD_SIZE" || name == "OMPI_COMM_WORLD_LOCAL_SIZE" || name == "SLURM_STEP_ID" ||
                name.starts_with("MASTER"))
                continue;
            expect_error(
                Exit::usage, [&] { ranks(without(family, name)); }, name + " is not set");
            expect_error(
                Exit::usage,
                [&] {
                    ranks(with(family, {{name, ""}}));
                },
                name + " is not set");
        }
    expect_error(
        Exit::usage,
        [] {
            ranks({{"LOCAL_RANK", "0"}});
        },
        "WORLD_SIZE is not set", "torchrun");
}

TEST(Ranks, NumbersOutOfRangeAreRefused) {
    for (const char* value : {"8", "-1", "x", "1 ", "99999999999", "0x1"})
        expect_error(
            Exit::usage,
            [&] {
                ranks(with(kTorchrun, {{"RANK", value}}));
            },
            "RANK is `" + std::string(value) + "`");
    expect_error(
        Exit::usage,
        [] {
            ranks(with(kTorchrun, {{"WORLD_SIZE", "0"}}));
        },
        "WORLD_SIZE");
    expect_error(
        Exit::usage,
        [] {
            ranks(with(kTorchrun, {{"LOCAL_RANK", "6"}}));
        },
        "LOCAL_RANK", "0 to 5");
    expect_error(
        Exit::usage,
        [] {
            ranks(with(kTorchrun, {{"LOCAL_WORLD_SIZE", "1"}}));
        },
        "LOCAL_WORLD_SIZE");
}

JoinSettings settings(const Variables& v) { return join_settings(ranks(v), of(v)); }

TEST(JoinSettings, OfEachLauncher) {
    EXPECT_EQ(settings(kTorchrun).library, "tcp");
    EXPECT_EQ(settings(kTorchrun).address, "node0");
    EXPECT_EQ(settings(kTorchrun).port, 29401);  // the next one: at 29400 torchrun itself listens
    EXPECT_TRUE(settings(kTorchrun).nccl);
    EXPECT_EQ(settings(kTorchrun).seconds, 600);
    EXPECT_EQ(settings(kOpenMpi).library, "mpi");
    const Variables address{{"MASTER_ADDR", "node1"}};
    EXPECT_EQ(settings(with(kSlurm, address)).library, "tcp");
    EXPECT_EQ(settings(with(kSlurm, address)).port, 29501);
    EXPECT_EQ(settings(with(kSlurm, {{"PMIX_RANK", "6"}})).library, "mpi");
    EXPECT_EQ(settings(with(with(kSlurm, address), {{"PMIX_RANK", "6"}})).library, "tcp");
    EXPECT_EQ(settings(with(kSlurm, {{"SLURM_STEP_NUM_NODES", "1"}})).address, "127.0.0.1");
    expect_error(
        Exit::usage, [] { settings(kSlurm); }, "MASTER_ADDR is not set");
}

TEST(JoinSettings, AsTheEnvironmentForces) {
    const JoinSettings tcp = settings(with(kOpenMpi, {{"FAIRPRUNE_COLLECTIVES", "tcp"}}));
    EXPECT_EQ(tcp.library, "tcp");
    EXPECT_EQ(tcp.address, "127.0.0.1");  // all three are here
    EXPECT_FALSE(tcp.nccl);
    EXPECT_EQ(settings(with(kTorchrun, {{"FAIRPRUNE_COLLECTIVES", "mpi"}})).library, "mpi");
    EXPECT_EQ(settings(with(kTorchrun, {{"FAIRPRUNE_COLLECTIVES", "nccl"}})).library, "tcp");
    EXPECT_TRUE(settings(with(kTorchrun, {{"FAIRPRUNE_COLLECTIVES", "nccl"}})).nccl);
    EXPECT_EQ(settings(with(kTorchrun, {{"FAIRPRUNE_PORT", "1234"}})).port, 1234);
    EXPECT_EQ(settings(with(kTorchrun, {{"FAIRPRUNE_TIMEOUT", "30"}})).seconds, 30);
    for (const auto& [name, value] : Variables{{"FAIRPRUNE_COLLECTIVES", "gloo"},
                                               {"FAIRPRUNE_PORT", "70000"},
                                               {"FAIRPRUNE_TIMEOUT", "0"},
                                               {"MASTER_PORT", "port"}})
        expect_error(
            Exit::usage,
            [&] {
                settings(with(kTorchrun, {{name, value}}));
            },
            name);
}

// Ranks of another attempt, or of another step, are not of this run.
TEST(JoinSettings, TellRunsApart) {
    EXPECT_EQ(settings(kTorchrun).run, settings(with(kTorchrun, {{"RANK", "4"}})).run);
    EXPECT_NE(settings(kTorchrun).run, settings(with(kTorchrun, {{"TORCHELASTIC_RESTART_COUNT", "1"}})).run);
    const Variables slurm = with(kSlurm, {{"MASTER_ADDR", "node1"}});
    EXPECT_NE(settings(slurm).run, settings(with(slurm, {{"SLURM_STEP_ID", "1"}})).run);
}

TEST(Ranks, HaveTheirGpuAndTheirShareOfCores) {
    const Ranks r = ranks(kTorchrun);
    EXPECT_EQ(gpu_of(r, of({})), 1);
    EXPECT_EQ(gpu_of(r, of({{"CUDA_VISIBLE_DEVICES", "0,1,2,3"}})), 1);
    EXPECT_EQ(gpu_of(r, of({{"CUDA_VISIBLE_DEVICES", "3"}})), 0);
    EXPECT_EQ(gpu_of(r, of({{"CUDA_VISIBLE_DEVICES", ""}})), 1);
    EXPECT_EQ(threads_of(r, 64), 16);
    EXPECT_EQ(threads_of(r, 7), 1);
    EXPECT_EQ(threads_of(r, 2), 1);
    EXPECT_EQ(threads_of(Ranks{}, 7), 7);
}

TEST(Ranks, OneRankJoinsNobody) {
    const Comm& comm = join_ranks(ranks({}));
    EXPECT_TRUE(comm.alone());
    EXPECT_NE(comm.numbered().host, "");
    join_gpus(kernels(Backend::cpu));
    leave_ranks();
}

}  // namespace
}  // namespace fp::testing
