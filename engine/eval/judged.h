// Which part of a data set, or of a file of predictions, is judged.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/data/dataset.h"
#include "engine/fairness/predictions.h"
#include "engine/io/fields.h"

namespace fp {

struct Judged {
    std::string split = {};  // "all": every row
    int64_t images = 0, of = 0;
    std::optional<int64_t> seen = {};          // of them, the model has learned from or was chosen by; empty: not known
    std::optional<bool> seen_at_least = {};    // true: `seen` may be more (SeenImages::may_be_more)
    std::optional<bool> earlier_unknown = {};  // true: SeenImages::earlier_unknown
    bool of_model = false;                     // and not of predictions that another program may have made
    std::vector<std::string> notes = {};       // how the split came about and what was left out, one line each
};
void fields(maybe_const<Judged> auto& j, auto& member) {
    member("split", j.split);
    member("images", j.images);
    member("of", j.of);
    member("seen_in_training", j.seen);
    member("seen_at_least", j.seen_at_least);
    member("earlier_unknown", j.earlier_unknown);
    member("notes", j.notes);
}

// "judging 504 of 2534 images (split test)", and how many of them the model has seen where it has seen some.
std::string judged_text(const Judged&);

// The samples or rows of `split`: "all", a usual word for train, val or test, or any other name in the split column.
// Empty: test, or all where every one has the same split or none is named. Exit::data with the counts where none is of
// that split.
struct JudgedSamples {
    Judged judged;
    std::vector<int64_t> samples;
};
JudgedSamples judged_samples(const Dataset&, const std::string& split);
JudgedSamples judged_rows(const Predictions&, const std::string& split);

}  // namespace fp
