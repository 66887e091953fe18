// The machine code that the GPU's compiler made, read from the cubins in a library or program: no GPU and no
// disassembler is needed. (A toolkit may come without cuobjdump and nvdisasm; the opcodes and fields here are what
// nvdisasm 13.5 says of sm_80 and sm_90a.)
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace fp {

// The low 12 bits of an instruction.
enum Opcode : uint16_t {
    kHmma = 0x23c,         // mma.sync
    kHgmma = 0x9f0,        // wgmma; the commit of a group too, with no destination
    kTensorCopy = 0x5b4,   // cp.async.bulk.tensor, tiled
    kIm2colCopy = 0x3b4,   // the same, im2col
    kAsyncCopy = 0xfae,    // cp.async
    kLoadMatrix = 0x83b,   // ldmatrix
    kStoreMatrix = 0x844,  // stmatrix
    kArrive = 0x9a7,       // at an mbarrier
    kLoadLocal = 0x983,    // local memory: spills, and arrays that are indexed at run time
    kStoreLocal = 0x387,
    kStoreLocalUniform = 0x987,
    kBranch = 0x947,
    kCall = 0x944,
    kExit = 0x94d,
    kReturn = 0x950,
    kClusterArrive = 0x9c7,  // at the cluster's barrier
    kLetNextBegin = 0x82d,   // griddepcontrol.launch_dependents
    kWaitInFront = 0x82e,    // griddepcontrol.wait
};

struct Instruction {
    static constexpr int kBytes = 16;
    uint64_t low, high;

    int opcode() const { return int(low & 0xfff); }
    int operation() const { return int(low & 0x1ff); }      // whatever its operands are: registers, constants, numbers
    bool always() const { return (low >> 12 & 0xf) == 7; }  // no predicate guards it
};

struct KernelCode {
    std::string name;
    int generation = 0;
    int frame_bytes = 0;  // of local memory that each thread has
    std::vector<Instruction> code;

    int of(int opcode) const;  // how many
};

// All kernels of all cubins in these bytes.
std::vector<KernelCode> kernels_of(const std::string& bytes);

// By a function's symbol: the bytes of its frame, from a section .nv.info.
std::map<uint32_t, int> frames_of(std::string_view info);

// What the compiler should not have made, a sentence each that names the kernel and the address.

// VIMNMX that writes a predicate. ptxas 13.0 makes `VIMNMX.RELU r, p, p, x, 16` of a clamp and of a comparison of what
// is made of it, and takes the predicate, which says that x is the smaller, for its opposite:
//
//   __global__ void ragged(const int* rows, float* out, int n) {
//       const int r = rows[0], c = r < 0 ? 0 : r > 16 ? 16 : r;
//       const unsigned mask = (1u << c) - 1;
//       float sum = 0;
//       if (mask == 0xffff) for (int k = 0; k < 16; ++k) sum += out[n + k];
//       else for (int k = 0; k < 16; ++k) if (mask >> k & 1) sum += out[n + k] * 2;
//       out[threadIdx.x] = sum;
//   }
std::vector<std::string> predicates_of_minima(const KernelCode&);

std::vector<std::string> local_memory(const KernelCode&);

// Divisions and conversions in the loops that fill a ring of stages: the innermost loops with a copy of the tensor
// memory unit and an arrival. One thread runs them, and each costs it tens of cycles for each stage.
std::vector<std::string> divisions_in_fill_loops(const KernelCode&);
int fill_loops(const KernelCode&);

// Loads and stores behind a thread's last arrival at the barrier of its cluster, which orders none of them.
std::vector<std::string> accesses_behind_cluster(const KernelCode&);

// Loads and stores of global memory in front of griddepcontrol.wait, in a kernel that has one.
std::vector<std::string> accesses_before_wait(const KernelCode&);

}  // namespace fp
