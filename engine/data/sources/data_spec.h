// The text of --data: KIND:HEAD[,KEY=VALUE]...
#pragma once

#include <map>
#include <string>
#include <vector>

namespace fp {

struct DataSpec {
    std::string kind;
    std::string head;  // a file or a folder; empty for synth
    std::map<std::string, std::string> values;
};

// A part without KEY= belongs to what stands before it, so that paths may hold commas. Exit::usage for text
// without a kind, an empty head, a key twice.
DataSpec parse_data_spec(const std::string& spec);

// Exit::usage if `spec` holds a key that is not among `known`; the message lists them.
void check_keys(const DataSpec& spec, const std::vector<std::string>& known);

}  // namespace fp
