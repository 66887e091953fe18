// How many images there are of each class, in each split, in each group.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/data/attributes.h"
#include "engine/data/dataset.h"

namespace fp {

// {"data":SPEC,"images":N,"units":U,"split_hash":H,"classes":[...],"notes":[...],
//  "splits":{"train":{"images":n,"units":u,"classes":{CLASS:n,...},
//                     "attributes":{ATTRIBUTE:{CLASS:{GROUP:n,...,"unknown":n},...}}},"val":...,"test":...}}
// val and test have "images_shared_with_train": those of a lesion or patient that is in train too.
nlohmann::ordered_json counts_json(const Dataset&, const std::vector<Grouping>&);

// The same for people: a table of class by split, a line for each split that shares lesions with train, then
// a table of class by group for each split and attribute.
// Control characters in names are shown as ?.
std::string counts_text(const Dataset&, const std::vector<Grouping>&);

}  // namespace fp
