// The text of --data: KIND:HEAD[,KEY=VALUE]...
#pragma once

#include <map>
#include <string>
#include <vector>

namespace fp {

struct Source;

struct DataSpec {
    std::string text;      // all of it
    const Source* source;  // engine/data/sources/sources.h
    std::string head;      // a file or a folder; empty for synth
    std::map<std::string, std::string> values;
};

// A part without KEY= belongs to what precedes it, so that paths may hold commas. Exit::usage for an unknown kind, a
// missing head, a key that the source does not have, and a key given twice.
DataSpec parse_data_spec(const std::string& spec);

}  // namespace fp
