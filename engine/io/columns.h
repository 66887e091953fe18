// Names of columns and words for an unknown value, in the spellings of published data sets; numbers in cells.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace fp {

class Cells;

// The index of a name, -1 where it is not there.
int index_of(const std::vector<std::string>& names, std::string_view wanted);

// The column called `wanted`, or failing that one under another name for the same thing (gender for sex,
// dx for label, anatom_site_general for site, ...). -1 where there is none.
int find_column(const std::vector<std::string>& columns, std::string_view wanted);

// A value without spaces around it, and that in lower case.
std::string trimmed(std::string_view value);
std::string plain(std::string_view value);

// Empty, ?, unknown, unk, na, n/a, #n/a, <na>, nan, none, null and -1 (-1.0 too), in any case, with spaces around or
// not.
bool is_unknown(std::string_view value);
// "unknown" where the value is one of these words, in any case, with spaces around or not; else the value.
std::string_view as_unknown(std::string_view value, const std::vector<std::string>& words);

// The columns that tell which images stay together and are resampled as one: lesion_id, then patient_id; those that are
// there. The unit of a row is the first of them that is known, else its image.
std::vector<int> unit_columns(const std::vector<std::string>& columns);
std::string unit_of(const Cells& row, const std::vector<int>& unit_columns, const std::string& image);

// The finite number that the whole word spells, with or without a sign; empty for any other word.
std::optional<double> parse_number(std::string_view word);

// The distinct words, sorted: as numbers if all are numbers.
std::vector<std::string> sorted_words(const std::set<std::string>& words);

// "MEL and mel", the first two names that differ in case alone; empty where there are none.
std::string alike(const std::vector<std::string>& names);

// "a, b, c" for messages; the first 20 and how many more.
std::string list(const std::vector<std::string>& names);

}  // namespace fp
