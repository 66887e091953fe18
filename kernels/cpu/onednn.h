// What the operations on oneDNN share: our layouts in its words, and primitives made once a shape.
//
// oneDNN is told the stored channel counts, never the logical ones: padding is exact zero in all that it
// reads, so it comes out exact zero in all that it writes, no primitive meets a channel tail, and an odd
// width runs at the speed of the next multiple of the block.
#pragma once

#include <dnnl.hpp>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace fp::cpu::onednn {

using Desc = dnnl::memory::desc;

const dnnl::engine& engine();

Desc desc(const Map&);
Desc desc(const Filter&);
Desc vector_desc(int count);
dnnl::memory::dims dims(const Desc&);
Desc any(const Desc&);  // the same numbers in whatever layout oneDNN likes

// Scratch comes from the caller.
dnnl::primitive_attr attributes(bool sum = false, bool relu = false);

// oneDNN 2 describes the operation first (Primitive::desc) and then the primitive; oneDNN 3 takes the same arguments in one step.
template <class Primitive, class... Arguments>
typename Primitive::primitive_desc forward_desc(const dnnl::primitive_attr& attributes, const Arguments&... arguments) {
    if constexpr (requires { typename Primitive::desc; })
        return {typename Primitive::desc(arguments...), attributes, engine()};
    else
        return {engine(), arguments..., attributes};
}
template <class Primitive, class Forward, class... Arguments>
typename Primitive::primitive_desc backward_desc(const Forward& forward, const Arguments&... arguments) {
    if constexpr (requires { typename Primitive::desc; })
        return {typename Primitive::desc(arguments...), attributes(), engine(), forward};
    else
        return {engine(), arguments..., forward, attributes()};
}

// Copies between two layouts; goes through the plain one where oneDNN has no direct way (Winograd).
void reorder(const Desc& from, const void* source, const Desc& to, void* target);

// One primitive ready to run on our layouts. Where it wants an argument in another layout the plan holds
// the reorder too; the last argument is the output, the others are inputs.
class Plan {
public:
    struct Argument {
        int id;  // DNNL_ARG_...
        Desc ours;
    };
    Plan(const dnnl::primitive_desc&, std::vector<Argument>);

    // The primitive's own scratch, and a place for every argument that is reordered or added.
    size_t scratch_bytes() const { return scratch_bytes_; }
    const std::string& implementation() const { return implementation_; }
    // The layout the primitive takes its argument in.
    const Desc& wanted(int id) const;

    // `pointers` in the order of the arguments.
    void run(std::initializer_list<const void*> pointers, Write, void* scratch) const;

private:
    struct Slot {
        int id;
        Desc ours, wanted;
        size_t offset = 0;                   // in scratch
        std::optional<dnnl::reorder> moves;  // ours to wanted, for the output wanted to ours
    };
    std::string implementation_;
    dnnl::primitive call_;
    std::vector<Slot> slots_;
    std::optional<dnnl::reorder> adds_;   // output: ours += wanted
    std::optional<dnnl::reorder> loads_;  // output: ours to wanted, where the primitive adds to it
    Desc scratchpad_;
    size_t scratch_bytes_ = 0;
};

// oneDNN's reference loops are thousands of times slower and come without a warning.
bool is_reference(const dnnl::primitive_desc&);

// The plan of a key, made at the first call and kept for the life of the process. Thread-safe. Plans
// divide their work when they are made, so the number of threads becomes part of the key.
using Key = std::vector<int>;
Key key_of(std::initializer_list<int> what, const Map& x, const Filter& w, const Map& y);
const Plan& cached(Key, const std::function<Plan()>& make);

}  // namespace fp::cpu::onednn
