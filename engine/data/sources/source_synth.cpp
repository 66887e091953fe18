// synth:KEY=VALUE,... (engine/data/sources/synth.h): classes class00, class01, ..., columns group (g0, g1, ...) and
// lesion_id.
#include <fmt/format.h>

#include <charconv>

#include "engine/data/sources/sources.h"
#include "kernels/error.h"

namespace fp {
namespace {

// visit(name, what it is, member, lowest, highest) for every key.
template <class Spec, class Visit>
void for_each_key(Spec& spec, const Visit& visit) {
    visit("n", "images", spec.n, 1, 100'000'000);
    visit("size", "side of an image in pixels", spec.size, 8, 1024);
    visit("classes", "classes", spec.classes, 2, 64);
    visit("groups", "groups", spec.groups, 1, 8);
    visit("bias", "how far group tells class in train", spec.bias, 0, 1);
    visit("difficulty", "0: lesions stand out, 1: hardly visible", spec.difficulty, 0, 1);
    visit("views", "images of a lesion", spec.views, 1, 1000);
    visit("seed", "of all that is drawn", spec.seed, 0, UINT64_MAX);
}

SynthSpec synth_of(const DataSpec& spec) {
    SynthSpec synth;
    for_each_key(synth, [&]<class T>(const char* key, const char*, T& member, auto low, auto high) {
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

std::vector<SourceKey> keys_of_synth() {
    std::vector<SourceKey> keys;
    const SynthSpec defaults;
    for_each_key(defaults, [&]<class T>(const char* key, const char* says, const T& member, auto low, auto high) {
        keys.push_back({key, fmt::format("{}, {} to {} (default: {})", says, low, high, member)});
    });
    return keys;
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
    for_each_key(spec, [&](const char* key, const char*, const auto& member, auto, auto) {
        out += fmt::format("{}{}={}", out.empty() ? "" : ",", key, member);
    });
    return out;
}

namespace sources {
extern const Source synth{.name = "synth",
                          .says = "synth:n=2000,size=64,...",
                          .opens = "Generated lesions: class and group are tied in train, not in val and test.",
                          .keys = keys_of_synth(),
                          .example = "synth:n=4000,size=64,classes=4,groups=2,bias=0.85",
                          .needs_path = false,
                          .list = list_synth};
}

}  // namespace fp
