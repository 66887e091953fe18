#include "tests/kernels/machine_code.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <stdexcept>

namespace fp {
namespace {

template <class T>
T at(std::string_view bytes, size_t offset) {
    T value;
    if (offset + sizeof value > bytes.size()) throw std::runtime_error("a cubin is cut short");
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
}

// The kernels of one cubin that begins at `base`.
void read_cubin(const std::string& bytes, size_t base, std::vector<KernelCode>& kernels) {
    constexpr int kCuda = 190;
    const auto header = at<Elf64_Ehdr>(bytes, base);
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != kCuda) return;
    // From version 8 of its ABI on, the generation stands one byte higher.
    const int generation = int(header.e_ident[EI_ABIVERSION] >= 8 ? header.e_flags >> 8 : header.e_flags) & 0xff;
    std::vector<Elf64_Shdr> sections;
    for (size_t i = 0; i < header.e_shnum; ++i)
        sections.push_back(at<Elf64_Shdr>(bytes, base + header.e_shoff + i * header.e_shentsize));
    const size_t names = base + sections.at(header.e_shstrndx).sh_offset;
    const auto name_of = [&](const Elf64_Shdr& s) { return std::string(bytes.c_str() + names + s.sh_name); };
    std::map<uint32_t, int> frames;
    for (const Elf64_Shdr& s : sections)
        if (name_of(s) == ".nv.info") frames = frames_of(std::string_view(bytes).substr(base + s.sh_offset, s.sh_size));
    for (const Elf64_Shdr& s : sections) {
        const std::string name = name_of(s);
        if (s.sh_type != SHT_PROGBITS || !name.starts_with(".text.")) continue;
        KernelCode k{.name = name.substr(6), .generation = generation, .code = {}};
        for (size_t offset = 0; offset + Instruction::kBytes <= s.sh_size; offset += Instruction::kBytes)
            k.code.push_back(at<Instruction>(bytes, base + s.sh_offset + offset));
        const auto frame = frames.find(s.sh_info & 0xffffff);  // above it, the registers
        if (frame == frames.end()) throw std::runtime_error("a kernel without a frame: " + name);
        k.frame_bytes = frame->second;
        kernels.push_back(std::move(k));
    }
}

std::string sentence(const KernelCode& k, size_t instruction, const std::string& what) {
    return fmt::format("{} for sm_{}, at 0x{:x}: {}", k.name, k.generation, instruction * Instruction::kBytes, what);
}

// ---- loops

// From the next instruction on, in words of 4 bytes: bits 34 to 81 and, below them, bits 16 to 23.
size_t target(const Instruction& branch, size_t here) {
    const uint64_t upper = branch.low >> 34 | (branch.high & 0x3ffff) << 30;
    const int64_t words = int64_t(upper << 16) >> 8 | int64_t(branch.low >> 16 & 0xff);
    return size_t(int64_t(here) + 1 + words / 4);
}

std::vector<size_t> next_of(const std::vector<Instruction>& code, size_t i) {
    std::vector<size_t> next;
    const Instruction& now = code[i];
    const bool leaves = now.opcode() == kExit || now.opcode() == kReturn;
    if (now.opcode() == kBranch) next.push_back(target(now, i));
    // A branch may have a second predicate.
    const bool goes_on = !now.always() || (now.opcode() == kBranch ? (now.high >> 23 & 0xf) != 7 : !leaves);
    if (goes_on) next.push_back(i + 1);
    std::erase_if(next, [&](size_t n) { return n >= code.size(); });
    return next;
}

// Natural loops: the blocks from which a back branch is reached, to a block that lies on every path to the branch.
// Blocks are numbered in the order of the code.
class Loops {
public:
    explicit Loops(const std::vector<Instruction>& code) : code_(code) {
        std::set<size_t> begins{0};
        for (size_t i = 0; i < code.size(); ++i) {
            const auto next = next_of(code, i);
            if (next == std::vector<size_t>{i + 1}) continue;
            begins.insert(next.begin(), next.end());
            if (i + 1 < code.size()) begins.insert(i + 1);
        }
        begin_.assign(begins.begin(), begins.end());
        from_.resize(begin_.size());
        to_.resize(begin_.size());
        for (size_t b = 0; b < begin_.size(); ++b)
            for (const size_t n : next_of(code, end(b) - 1)) {
                const size_t to = size_t(std::upper_bound(begin_.begin(), begin_.end(), n) - begin_.begin()) - 1;
                to_[b].push_back(to);
                from_[to].push_back(b);
            }
        order_blocks();
        find_dominators();
        for (const size_t b : order_)
            for (const size_t head : to_[b])
                if (dominates(head, b)) add_body(head, b);
    }

    // The instructions of each loop.
    std::vector<std::set<size_t>> all() const {
        std::vector<std::set<size_t>> loops;
        for (const auto& [head, blocks] : body_) {
            std::set<size_t>& loop = loops.emplace_back();
            for (const size_t b : blocks)
                for (size_t i = begin_[b]; i < end(b); ++i) loop.insert(i);
        }
        return loops;
    }

private:
    static constexpr size_t kNone = size_t(-1);
    size_t end(size_t block) const { return block + 1 < begin_.size() ? begin_[block + 1] : code_.size(); }
    void order_blocks() {  // each before those it leads to, but for branches back
        rank_.assign(begin_.size(), kNone);
        std::vector<std::pair<size_t, size_t>> path{{0, 0}};  // a block, and which way is next
        std::vector<bool> seen(begin_.size());
        seen[0] = true;
        while (!path.empty()) {
            auto& [block, way] = path.back();
            if (way == to_[block].size()) {
                order_.push_back(block);
                path.pop_back();
            } else if (const size_t to = to_[block][way++]; !seen[to]) {
                seen[to] = true;
                path.emplace_back(to, 0);
            }
        }
        std::reverse(order_.begin(), order_.end());
        for (size_t i = 0; i < order_.size(); ++i) rank_[order_[i]] = i;
    }
    void find_dominators() {  // Cooper, Harvey, Kennedy 2001
        above_.assign(begin_.size(), kNone);
        above_[0] = 0;
        for (bool changed = true; changed;) {
            changed = false;
            for (const size_t b : order_) {
                if (b == 0) continue;
                size_t common = kNone;
                for (size_t p : from_[b]) {
                    if (above_[p] == kNone) continue;
                    if (common == kNone) common = p;
                    while (common != p)
                        (rank_[common] > rank_[p] ? common : p) = above_[rank_[common] > rank_[p] ? common : p];
                }
                changed = changed || above_[b] != common;
                above_[b] = common;
            }
        }
    }
    bool dominates(size_t head, size_t block) const {
        while (block != head && block != 0) block = above_[block];
        return block == head;
    }
    void add_body(size_t head, size_t last) {
        std::set<size_t>& body = body_[head];
        body.insert(head);
        std::vector<size_t> open{last};
        while (!open.empty()) {
            const size_t b = open.back();
            open.pop_back();
            if (above_[b] == kNone || !body.insert(b).second) continue;
            open.insert(open.end(), from_[b].begin(), from_[b].end());
        }
    }

    const std::vector<Instruction>& code_;
    std::vector<size_t> begin_, order_, rank_, above_;
    std::vector<std::vector<size_t>> from_, to_;
    std::map<size_t, std::set<size_t>> body_;
};

std::vector<std::set<size_t>> loops_that_fill(const KernelCode& k) {
    if (k.of(kTensorCopy) + k.of(kIm2colCopy) == 0) return {};
    std::vector<std::set<size_t>> found;
    for (std::set<size_t>& loop : Loops(k.code).all()) {
        bool copies = false, arrives = false;
        for (const size_t i : loop) {
            const int opcode = k.code[i].opcode();
            copies = copies || opcode == kTensorCopy || opcode == kIm2colCopy;
            arrives = arrives || opcode == kArrive;
        }
        if (copies && arrives) found.push_back(std::move(loop));
    }
    const std::vector<std::set<size_t>> all = found;
    std::erase_if(found, [&all](const std::set<size_t>& loop) {
        return std::any_of(all.begin(), all.end(), [&loop](const std::set<size_t>& inner) {
            return inner.size() < loop.size() && std::includes(loop.begin(), loop.end(), inner.begin(), inner.end());
        });
    });
    return found;
}

// The instructions that are reached from `first`, itself included, but not from behind one of `end`.
std::set<size_t> reached(const std::vector<Instruction>& code, std::vector<size_t> first, int end = -1) {
    std::set<size_t> seen;
    while (!first.empty()) {
        const size_t i = first.back();
        first.pop_back();
        if (!seen.insert(i).second || code[i].opcode() == end) continue;
        for (const size_t next : next_of(code, i)) first.push_back(next);
    }
    return seen;
}

constexpr int kLoadGlobal = 0x181, kStoreGlobal = 0x186, kCopyAsync = kAsyncCopy & 0x1ff;
bool touches_global(const Instruction& i) {
    return i.operation() == kLoadGlobal || i.operation() == kStoreGlobal || i.operation() == kCopyAsync;
}
// From LD to RED, with those of global, local and shared memory between them.
bool touches_memory(const Instruction& i) {
    return (i.operation() >= 0x180 && i.operation() <= 0x18e) || i.operation() == kCopyAsync;
}

// What makes up a division, or is one.
const char* divides(const Instruction& i) {
    switch (i.operation()) {
        case 0x106:
        case 0x112:
            return "I2F";
        case 0x105:
        case 0x111:
            return "F2I";
        case 0x108:
            return "MUFU";
        case 0x045:
            return "I2FP";
        default:
            return i.opcode() == kCall ? "CALL" : nullptr;
    }
}

}  // namespace

int KernelCode::of(int opcode) const {
    return int(
        std::count_if(code.begin(), code.end(), [opcode](const Instruction& i) { return i.opcode() == opcode; }));
}

std::vector<KernelCode> kernels_of(const std::string& bytes) {
    std::vector<KernelCode> kernels;
    for (size_t i = 0; (i = bytes.find("\177ELF", i)) != std::string::npos; ++i) read_cubin(bytes, i, kernels);
    return kernels;
}

// Attributes: a format, a number, and a value of 16 bits, which of format 4 is the bytes that follow. Number 0x11 is a
// symbol and the size of its frame.
std::map<uint32_t, int> frames_of(std::string_view info) {
    constexpr uint8_t kSized = 4, kFrame = 0x11;
    std::map<uint32_t, int> frames;
    for (size_t i = 0; i + 4 <= info.size();) {
        const auto format = at<uint8_t>(info, i), number = at<uint8_t>(info, i + 1);
        const auto value = at<uint16_t>(info, i + 2);
        i += 4;
        if (format != kSized) continue;
        if (number == kFrame) frames[at<uint32_t>(info, i)] = at<int32_t>(info, i + 4);
        i += value;
    }
    return frames;
}

std::vector<std::string> predicates_of_minima(const KernelCode& k) {
    constexpr int kMinimum = 0x048, kNobody = 7;
    std::vector<std::string> found;
    for (size_t i = 0; i < k.code.size(); ++i) {
        const Instruction& now = k.code[i];
        const int first = now.high >> 17 & 7, second = now.high >> 20 & 7;
        if (now.operation() != kMinimum || (first == kNobody && second == kNobody)) continue;
        found.push_back(sentence(
            k, i,
            fmt::format("VIMNMX{} writes P{}", now.high >> 12 & 1 ? ".RELU" : "", first != kNobody ? first : second)));
    }
    return found;
}

std::vector<std::string> local_memory(const KernelCode& k) {
    std::vector<std::string> found;
    if (k.frame_bytes > 0) found.push_back(sentence(k, 0, fmt::format("a frame of {} bytes", k.frame_bytes)));
    for (size_t i = 0; i < k.code.size(); ++i) switch (k.code[i].opcode()) {
            case kLoadLocal:
                found.push_back(sentence(k, i, "LDL"));
                break;
            case kStoreLocal:
            case kStoreLocalUniform:
                found.push_back(sentence(k, i, "STL"));
                break;
            default:
                break;
        }
    return found;
}

std::vector<std::string> divisions_in_fill_loops(const KernelCode& k) {
    std::vector<std::string> found;
    for (const std::set<size_t>& loop : loops_that_fill(k))
        for (const size_t i : loop)
            if (const char* what = divides(k.code[i]))
                found.push_back(sentence(k, i, fmt::format("{} in a loop that fills", what)));
    return found;
}

int fill_loops(const KernelCode& k) { return int(loops_that_fill(k).size()); }

std::vector<std::string> accesses_behind_cluster(const KernelCode& k) {
    std::vector<std::string> found;
    for (size_t i = 0; i < k.code.size(); ++i) {
        if (k.code[i].opcode() != kClusterArrive) continue;
        const std::set<size_t> behind = reached(k.code, next_of(k.code, i));
        if (std::ranges::any_of(behind, [&](size_t n) { return k.code[n].opcode() == kClusterArrive; })) continue;
        for (const size_t n : behind)
            if (touches_memory(k.code[n])) found.push_back(sentence(k, n, "memory behind the cluster's last barrier"));
    }
    return found;
}

std::vector<std::string> accesses_before_wait(const KernelCode& k) {
    std::vector<std::string> found;
    if (k.of(kWaitInFront) == 0) return found;
    for (const size_t n : reached(k.code, {0}, kWaitInFront))
        if (touches_global(k.code[n])) found.push_back(sentence(k, n, "global memory before griddepcontrol.wait"));
    return found;
}

}  // namespace fp
