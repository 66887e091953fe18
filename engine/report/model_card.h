// A model card in Markdown: what the model is, on whom it was judged, what it can and cannot be said to do.
#pragma once

#include <string>

#include "engine/report/prune_report.h"

namespace fp {

std::string model_card(const PruneReport&, const Caller&);

// Its part on the pruned model's figures on the test split.
std::string evaluation_card(const Report& pruned);

// Text from files for a line or a table's cell: nothing that Markdown would read as its own.
std::string markdown_text(const std::string&);

}  // namespace fp
