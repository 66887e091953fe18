// Groups of samples by a sensitive attribute, in the syntax of --attribute:
//
//   sex            one group for each value, sorted (as numbers if all are numbers); 4.0 is the group 4
//   age:60         a number cut in two: <60 and >=60        age:30:60   <30, 30-60 (60 not in it) and >=60
//   sex*age:60     every combination: female*<60, female*>=60, ...; unknown if either is
//   age:60?last    unknown values count as the last group (?first: the first), as the published code does
//
// A value is unknown as engine/io/columns.h says; its sample has group -1. AttributeColumns are found under their
// usual other names. "sex=2" gives the attribute the weight 2; one of weight 0 is only reported.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace fp {

// Named columns of text, one value per sample.
struct AttributeColumns {
    std::string source;  // for messages
    std::vector<std::string> names;
    std::function<std::vector<std::string>(size_t column)> values;
    std::function<std::string(size_t sample)> place = {};  // for messages: FILE:LINE; may be empty
};

struct Grouping {
    std::string name;                 // the specification
    std::vector<std::string> groups;  // cut groups are there even without samples
    std::vector<int> of;              // group of each sample, -1 = unknown
};

// Exit::usage for a specification that cannot be read, Exit::data for an unknown column (the message names the
// nearest column) and for a value under a cut that is not a number.
Grouping group_by(const AttributeColumns&, const std::string& spec);

// How many samples each group has, unknown last.
std::vector<int64_t> group_sizes(const Grouping&);

// Exit::data unless there are at most 50 groups: an identifier is no attribute.
void require_few_groups(const Grouping&);
// The same, and at least two groups have samples.
void require_comparable(const Grouping&);

// Before work whose end needs the groups: the errors of group_by() and require_few_groups(), and a line for each
// specification with fewer than two groups, of which no gap can be told, or with two that differ in case alone.
std::vector<std::string> group_warnings(const AttributeColumns&, const std::vector<std::string>& specs);

// Names with their weights (1 where none is given), and names alone. Exit::usage for a weight that is not a number of
// at least 0.
std::map<std::string, double> weighted_attributes(const std::vector<std::string>&);
std::vector<std::string> plain_names(const std::vector<std::string>&);

}  // namespace fp
