// Several trainings of one or two methods (engine/fairness/trainings.h), as text and as JSON.
#pragma once

#include "engine/fairness/trainings.h"
#include "engine/io/fields.h"
#include "engine/run/run_folder.h"
#include "engine/run/test_reads.h"

namespace fp {

// Within 80 columns. `reads`: of the test split, where one was judged.
std::string to_text(const TrainingsReport&, const std::optional<TestReads>& reads = {});

// {"trainings":k,"samples":N,"units":N,"metrics":{"accuracy":F,...},
//  "attributes":{"sex":{"figures":{"worst_macro_auc":F,"accuracy:female":F,...}}},"resamples":R,"seed":S,"confidence":C}
// with F = {"formula","ours":E} and, of pairs, "other":E and "difference":E (ours - other);
// E = {"values":[one per training],"mean","low","high","p","sd_trainings","error_units","error","freedom","detectable"};
// what cannot be estimated is null with "reason".
void fields(const TrainingsReport&, JsonWriter&);

// That of fp_eval. With "files": what was read, in the order of the pairs, left out where empty; and "test_reads", where there are any.
void put_trainings(JsonWriter&,
                   const TrainingsReport&,
                   const std::vector<std::vector<std::string>>& files,
                   const std::optional<TestReads>& reads);
std::string json_text(const TrainingsReport&,
                      const std::vector<std::vector<std::string>>& files,
                      const std::optional<TestReads>& reads = {});

// Its page, of {"title","command","trainings":the document above,"environment"}.
std::string page_text(const TrainingsReport&,
                      const std::vector<std::vector<std::string>>& files,
                      const std::optional<TestReads>& reads,
                      const Caller&,
                      const Kernels* used);

}  // namespace fp
