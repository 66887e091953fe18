// synth:KEY=VALUE,... (engine/data/sources/synth.h): classes class00, class01, ..., columns group (g0, g1, ...) and lesion_id.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "engine/data/sources/sources.h"
#include "engine/io/columns.h"
#include "kernels/error.h"

namespace fp {
namespace {

constexpr std::array<std::string_view, 8> kKeys{"n",    "size",       "classes", "groups",
                                                "bias", "difficulty", "views",   "seed"};

template <class T>
T number(const std::string& key, const std::string& value, T low, T high) {
    T parsed{};
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), parsed);
    const bool whole = error == std::errc() && end == value.data() + value.size();
    FP_REQUIRE(whole && parsed >= low && parsed <= high, Exit::usage, "--data synth: ", key, "=", value,
               ": wants a number from ", low, " to ", high);
    return parsed;
}

SynthSpec synth_of(const DataSpec& spec) {
    FP_REQUIRE(spec.head.empty(), Exit::usage, "--data synth: '", spec.head, "' is not KEY=VALUE");
    SynthSpec synth;
    for (const auto& [key, value] : spec.values) {
        if (key == "n") synth.n = number<int64_t>(key, value, 1, 100'000'000);
        if (key == "size") synth.size = number(key, value, 8, 1024);
        if (key == "classes") synth.classes = number(key, value, 2, 64);
        if (key == "groups") synth.groups = number(key, value, 1, 8);
        if (key == "bias") synth.bias = number(key, value, 0.0, 1.0);
        if (key == "difficulty") synth.difficulty = number(key, value, 0.0, 1.0);
        if (key == "views") synth.views = number(key, value, 1, 1000);
        if (key == "seed") synth.seed = number<uint64_t>(key, value, 0, UINT64_MAX);
    }
    return synth;
}

Dataset open_synth(const DataSpec& spec, const DatasetOptions& options) {
    constexpr std::array<Split, 5> kFifths = {Split::train, Split::val, Split::train, Split::test, Split::train};
    const SynthSpec synth = synth_of(spec);
    Dataset data{.name = spec.text,
                 .root = "",
                 .classes = options.classes,
                 .columns = {"group", "lesion_id"},
                 .samples = {},
                 .notes = {},
                 .split_was_drawn = false,
                 .synth = synth};
    std::vector<std::string> names;
    for (int c = 0; c < synth.classes; ++c) names.push_back(fmt::format("class{:02}", c));
    if (data.classes.empty()) data.classes = names;
    std::vector<int> label_of;
    for (const std::string& name : names) {
        const auto found = std::find(data.classes.begin(), data.classes.end(), name);
        FP_REQUIRE(found != data.classes.end(), Exit::data, spec.text, ": label '", name, "' is none of the ",
                   data.classes.size(), " classes ", list(data.classes));
        label_of.push_back(int(found - data.classes.begin()));
    }
    data.samples.reserve(size_t(synth.n));
    for (int64_t i = 0; i < synth.n; ++i) {
        const SynthIdentity id = identify(synth, i);
        const std::string lesion = fmt::format("lesion{:08}", id.lesion);
        data.samples.push_back(Sample{.image = fmt::format("images/{:08}.png", i),
                                      .label = label_of[size_t(id.label)],
                                      .split = kFifths[size_t(id.fifth)],
                                      .unit = lesion,
                                      .attributes = {fmt::format("g{}", id.group), lesion}});
    }
    return data;
}

}  // namespace

SynthSpec parse_synth(const std::string& text) { return synth_of(parse_data_spec("synth:" + text)); }

std::string to_string(const SynthSpec& s) {
    return fmt::format("n={},size={},classes={},groups={},bias={},difficulty={},views={},seed={}", s.n, s.size,
                       s.classes, s.groups, s.bias, s.difficulty, s.views, s.seed);
}

namespace sources {
extern const Source synth{
    .name = "synth", .says = "synth:n=2000,size=64,...", .keys = kKeys, .needs_path = false, .open = open_synth};
}

}  // namespace fp
