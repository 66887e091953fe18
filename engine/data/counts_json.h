// The JSON of fp_data.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/data/check.h"
#include "engine/data/counts.h"
#include "engine/data/pixel_stats.h"

namespace fp {

// {"data":SPEC,"images":N,"units":U,"split_hash":H,"classes":[...],"notes":[...],
//  "splits":{"train":{"images":n,"units":u,"classes":{CLASS:n,...},
//                     "attributes":{ATTRIBUTE:{CLASS:{GROUP:n,...,"unknown":n},...}}},"val":...,"test":...}}
// val and test have "images_shared_with_train": those of a lesion or patient that is in train too.
nlohmann::ordered_json counts_json(const Dataset&, const std::vector<Grouping>&);

// The document of `fp_data check`: counts, and what FileScan found.
std::string check_json(const Dataset&, const std::vector<Grouping>&, const FileScan&);

// The document of `fp_data stats`: counts, and with --pixels the sizes, mean and standard deviation.
std::string stats_json(const Dataset&, const std::vector<Grouping>&, const std::optional<PixelStats>&);

}  // namespace fp
