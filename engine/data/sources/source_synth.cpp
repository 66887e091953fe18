// synth:KEY=VALUE,... (engine/data/sources/synth.h): classes class00, class01, ..., columns group (g0, g1, ...) and lesion_id.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "engine/data/sources/sources.h"
#include "engine/io/columns.h"
#include "kernels/error.h"

namespace fp {

Dataset open_synth(const std::string& spec, const DatasetOptions& options) {
    constexpr std::array<Split, 5> kFifths = {Split::train, Split::val, Split::train, Split::test,
                                              Split::train};
    const SynthSpec synth = parse_synth(spec.substr(spec.find(':') + 1));
    Dataset data{.name = spec,
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
        FP_REQUIRE(found != data.classes.end(), Exit::data, spec, ": label '", name,
                   "' is none of the ", data.classes.size(), " classes ", list(data.classes));
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

}  // namespace fp
