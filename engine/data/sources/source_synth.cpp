// synth:KEY=VALUE,... (engine/data/sources/synth.h): classes class00, class01, ..., columns group (g0, g1, ...) and
// lesion_id.
#include <fmt/format.h>

#include <charconv>

#include "engine/data/sources/sources.h"
#include "kernels/error.h"

namespace fp {
namespace {

// visit(name, member, lowest, highest) for every key.
template <class Spec, class Visit>
void for_each_key(Spec& spec, const Visit& visit) {
    visit("n", spec.n, 1, 100'000'000);
    visit("size", spec.size, 8, 1024);
    visit("classes", spec.classes, 2, 64);
    visit("groups", spec.groups, 1, 8);
    visit("bias", spec.bias, 0, 1);
    visit("difficulty", spec.difficulty, 0, 1);
    visit("views", spec.views, 1, 1000);
    visit("seed", spec.seed, 0, UINT64_MAX);
}

SynthSpec synth_of(const DataSpec& spec) {
    SynthSpec synth;
    for_each_key(synth, [&]<class T>(const char* key, T& member, auto low, auto high) {
        const auto found = spec.values.find(key);
        if (found == spec.values.end()) return;
        const std::string& value = found->second;
        const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), member);
        const bool whole = error == std::errc() && end == value.data() + value.size();
        FP_REQUIRE(whole && member >= T(low) && member <= T(high), Exit::usage, "--data synth: ", key, "=", value,
                   ": wants a number from ", low, " to ", high);
    });
    return synth;
}

Listing list_synth(const DataSpec& spec, const DatasetOptions&) {
    constexpr const char* kFifths[] = {"train", "val", "train", "test", "train"};
    const SynthSpec synth = synth_of(spec);
    Listing listing{.table = {.header = {"image", "label", "split", "group", "lesion_id"}, .name = spec.text},
                    .split = 2,
                    .synth = synth};
    for (int c = 0; c < synth.classes; ++c) listing.classes.push_back(fmt::format("class{:02}", c));
    for (int64_t i = 0; i < synth.n; ++i) {
        const SynthIdentity id = identify(synth, i);
        listing.table.rows.push_back({fmt::format("images/{:08}.png", i), listing.classes[size_t(id.label)],
                                      kFifths[id.fifth], fmt::format("g{}", id.group),
                                      fmt::format("lesion{:08}", id.lesion)});
    }
    return listing;
}

}  // namespace

SynthSpec parse_synth(const std::string& text) { return synth_of(parse_data_spec("synth:" + text)); }

std::string to_string(const SynthSpec& spec) {
    std::string out;
    for_each_key(spec, [&](const char* key, const auto& member, auto, auto) {
        out += fmt::format("{}{}={}", out.empty() ? "" : ",", key, member);
    });
    return out;
}

namespace sources {
extern const Source synth{.name = "synth",
                          .says = "synth:n=2000,size=64,...",
                          .keys = {"n", "size", "classes", "groups", "bias", "difficulty", "views", "seed"},
                          .needs_path = false,
                          .list = list_synth};
}

}  // namespace fp
