// The groups of a data set's samples (engine/fairness/grouping.h has the specifications).
#pragma once

#include "engine/data/dataset.h"
#include "engine/fairness/grouping.h"
#include "engine/io/csv.h"

namespace fp {

AttributeColumns attribute_columns(const Table&);

Grouping group_by(const Dataset&, const std::string& spec);

}  // namespace fp
