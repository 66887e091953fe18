#include "engine/core/network.h"

#include <algorithm>

#include "kernels/error.h"

namespace fp {
namespace {

bool has(std::span<const std::string_view> names, std::string_view name) {
    return std::ranges::find(names, name) != names.end();
}

std::string joined(std::span<const std::string_view> names, std::string_view between) {
    std::string out;
    for (const std::string_view name : names) out += text(out.empty() ? std::string_view() : between, name);
    return out;
}

const ModelSpec& checked(const Architecture& a, const ModelSpec& spec) {
    FP_CHECK(has(a.names, spec.arch), "network: ", spec.arch, " is none of ", joined(a.names, ", "));
    FP_REQUIRE(has(a.stems, spec.stem) || a.stems.size() > 1, Exit::usage, "model ", spec.arch,
               " has no stem to choose");
    FP_REQUIRE(has(a.stems, spec.stem), Exit::usage, "stem ", spec.stem, " is unknown: ", joined(a.stems, " or "));
    return spec;
}

}  // namespace

const Architecture& find_architecture(const Architectures& all, std::string_view name) {
    std::string known;
    for (const Architecture* a : all) {
        if (has(a->names, name)) return *a;
        known += text(known.empty() ? "" : ", ", joined(a->names, ", "));
    }
    fail_with(Exit::usage, "model ", name, " is unknown: ", known);
}

Network::Network(const Architecture& a, const ModelSpec& s, const Kernels& k)
    : architecture(a), spec(checked(a, s)), params(k), forward(a.build(spec, params)) {
    params.allocate();
}

std::unique_ptr<Network> copy_of(const Network& net) {
    auto out = std::make_unique<Network>(net.architecture, net.spec, net.kernels());
    for (const Param& p : net.params.all()) out->params.set(*out->params.find(p.name), net.params.get(p).data());
    out->batches_seen = net.batches_seen;
    return out;
}

}  // namespace fp
