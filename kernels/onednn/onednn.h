// What the ops on oneDNN share: descriptors of our layouts, and primitives that are created once per shape.
//
// oneDNN is given the stored channel counts, never the logical ones. Padding is exactly zero in all its inputs, so it
// is exactly zero in all its outputs; no primitive has to handle a channel tail, and an odd width runs at the speed of
// the next multiple of the block.
#pragma once

#include <dnnl.hpp>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace fp::onednn {

using Desc = dnnl::memory::desc;

const dnnl::engine& engine();

Desc desc(const Map&);
Desc desc(const Filter&);
Desc vector_desc(int count);
dnnl::memory::dims dims(const Desc&);
Desc any(const Desc&);  // the same sizes, in the layout that oneDNN chooses

// The caller provides scratch memory.
dnnl::primitive_attr attributes(bool sum = false, bool relu = false);

// oneDNN 2 describes the operation first (Primitive::desc) and then the primitive; oneDNN 3 takes the same arguments in
// one step.
template <class Primitive, class... Arguments>
typename Primitive::primitive_desc forward_primitive(const dnnl::primitive_attr& attributes,
                                                     const Arguments&... arguments) {
    if constexpr (requires { typename Primitive::desc; })
        return {typename Primitive::desc(arguments...), attributes, engine()};
    else
        return {engine(), arguments..., attributes};
}
template <class Primitive, class Forward, class... Arguments>
typename Primitive::primitive_desc backward_primitive(const Forward& forward, const Arguments&... arguments) {
    if constexpr (requires { typename Primitive::desc; })
        return {typename Primitive::desc(arguments...), attributes(), engine(), forward};
    else
        return {engine(), arguments..., forward, attributes()};
}

// Copies between two layouts, through the plain layout where oneDNN has no direct reorder (Winograd).
void reorder(const Desc& from, const void* source, const Desc& to, void* target);

// A primitive that runs on our layouts. Where it needs an argument in another layout, the plan also has the reorder.
// The last argument is the output, the others are inputs.
class Plan {
public:
    struct Argument {
        int id;  // DNNL_ARG_...
        Desc ours;
    };
    Plan(const dnnl::primitive_desc&, std::vector<Argument>);

    // The primitive's own scratch, and memory for every argument that is reordered or added.
    size_t scratch_bytes() const { return scratch_bytes_; }
    const std::string& implementation() const { return implementation_; }
    // The layout in which the primitive takes an argument.
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

// oneDNN's reference implementations are thousands of times slower, and it selects them without a warning.
bool is_reference(const dnnl::primitive_desc&);

// The plan for a key, created at the first call and kept until the process ends. Thread-safe. A plan divides its work
// among threads when it is created, so the number of threads is part of the key.
using Key = std::vector<int>;
Key key_of(std::initializer_list<int> what, const Map& x, const Filter& w, const Map& y);
const Plan& cached(Key, const std::function<Plan()>& make);

}  // namespace fp::onednn
