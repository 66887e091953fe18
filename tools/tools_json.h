// The JSON that fp_bench, fp_export and fp_data print.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/data/check.h"
#include "engine/report/dry_run.h"
#include "engine/run/run_folder.h"
#include "tools/bench_report.h"

namespace fp {

std::string json_text(const BenchReport&);                 // Google Benchmark's shape, and "layers"
std::string page_text(const BenchReport&, const Caller&);  // its page

// Chrome's trace of the layers (engine/measure/profile_json.h).
std::string trace_text(const TimedLayers&);

struct WrittenFile {
    std::string format, file;
    uint64_t bytes;
};
std::string json_text(const std::vector<WrittenFile>&);  // {FORMAT:{"file","bytes"}}

std::string json_text(const DryRun&);  // {"dry_run":{...}}

// {"data":SPEC,"images":N,"units":U,"split_hash":H,"classes":[...],"notes":[...],
//  "splits":{"train":{"images":n,"units":u,"classes":{CLASS:n,...},
//                     "attributes":{ATTRIBUTE:{CLASS:{GROUP:n,...,"unknown":n},...}}},"val":...,"test":...}}
// val and test have "images_shared_with_train": the number of images whose lesion or patient is in train too;
// "other_splits":{NAME:n} counts splits of other names. `fp_data check` adds the findings of FileScan, `fp_data stats
// --pixels` sizes, mean and standard deviation.
std::string check_json(const Dataset&, const std::vector<Grouping>&, const FileScan&);
std::string stats_json(const Dataset&, const std::vector<Grouping>&, const std::optional<PixelStats>&);

}  // namespace fp
