#include "tools/toml.h"

#include <charconv>
#include <set>

#include "engine/io/files.h"

namespace fp {
namespace {

constexpr std::string_view kDigits = "0123456789";

bool is_bare(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

void append_utf8(std::string& out, uint32_t c) {
    const auto tail = [&](int shift) { out += char(0x80 | ((c >> shift) & 0x3F)); };
    if (c < 0x80) {
        out += char(c);
    } else if (c < 0x800) {
        out += char(0xC0 | (c >> 6));
        tail(0);
    } else if (c < 0x10000) {
        out += char(0xE0 | (c >> 12));
        tail(6), tail(0);
    } else {
        out += char(0xF0 | (c >> 18));
        tail(12), tail(6), tail(0);
    }
}

class Parser {
public:
    Parser(std::string_view text, const std::string& file) : text_(text), file_(file) {
        if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;
    }

    std::vector<TomlEntry> run() {
        std::vector<TomlEntry> entries;
        std::set<std::string> keys;
        for (skip_lines(); at_ < text_.size(); skip_lines()) {
            if (peek() == '[') refuse("sections are not used here: one flat list of `key = value`");
            TomlEntry entry;
            entry.line = line_;
            entry.key = key();
            if (!keys.insert(entry.key).second)
                refuse("`" + printable(entry.key) + "` is given twice");
            skip_spaces();
            if (peek() == '.') refuse("dotted keys are not used here");
            if (peek() != '=') refuse("`" + printable(entry.key) + "` is not followed by `=`");
            ++at_;
            skip_spaces();
            if (peek() == '[') {
                array(entry);
            } else {
                entry.values.push_back(value(entry.kind));
            }
            end_of_line();
            entries.push_back(std::move(entry));
        }
        return entries;
    }

private:
    [[noreturn]] void refuse(const std::string& what) const {
        fail_with(Exit::data, file_, ":", line_, ": ", what);
    }

    char peek() const { return at_ < text_.size() ? text_[at_] : '\n'; }
    std::string_view rest() const { return text_.substr(at_); }

    void skip_spaces() {
        while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
    }

    void skip_comment() {
        if (peek() != '#') return;
        while (at_ < text_.size() && text_[at_] != '\n') ++at_;
    }

    bool skip_line_end() {
        if (rest().starts_with("\r\n")) ++at_;
        if (at_ == text_.size() || text_[at_] != '\n') return at_ == text_.size();
        ++at_;
        ++line_;
        return true;
    }

    // Blanks, comments and ends of lines.
    void skip_lines() {
        for (;;) {
            skip_spaces();
            skip_comment();
            if (at_ == text_.size() || (peek() != '\n' && !rest().starts_with("\r\n"))) return;
            skip_line_end();
        }
    }

    void end_of_line() {
        skip_spaces();
        skip_comment();
        if (!skip_line_end()) refuse("`" + word() + "` follows the value");
    }

    // What stands here, for a message.
    std::string word() const {
        return printable(rest().substr(0, rest().find_first_of(" \t\r\n")), 40);
    }

    std::string key() {
        if (peek() == '"' || peek() == '\'') return string();
        const size_t start = at_;
        while (at_ < text_.size() && is_bare(text_[at_])) ++at_;
        if (at_ == start) refuse("`" + word() + "` is not a key");
        return std::string(text_.substr(start, at_ - start));
    }

    void array(TomlEntry& entry) {
        entry.is_array = true;
        ++at_;
        for (skip_lines(); peek() != ']' || at_ == text_.size(); skip_lines()) {
            if (at_ == text_.size())
                refuse("the array of `" + printable(entry.key) + "` has no end");
            TomlKind kind{};
            entry.values.push_back(value(kind));
            if (entry.values.size() > 1 && kind != entry.kind)
                refuse("the array of `" + printable(entry.key) + "` mixes kinds of values");
            entry.kind = kind;
            skip_lines();
            if (at_ < text_.size() && peek() == ',') {
                ++at_;
            } else if (at_ < text_.size() && peek() != ']') {
                refuse("`" + word() + "` stands where a comma or ] of the array should be");
            }
        }
        ++at_;
    }

    std::string value(TomlKind& kind) {
        if (peek() == '"' || peek() == '\'') {
            kind = TomlKind::text;
            return string();
        }
        if (peek() == '{') refuse("inline tables are not used here");
        if (peek() == '[') refuse("arrays in arrays are not used here");
        const size_t start = at_;
        while (at_ < text_.size() &&
               (is_bare(text_[at_]) || text_[at_] == '+' || text_[at_] == '.' || text_[at_] == ':'))
            ++at_;
        const std::string_view token = text_.substr(start, at_ - start);
        if (token.empty()) refuse("`" + word() + "` is no value (strings stand in quotes)");
        if (token == "true" || token == "false") {
            kind = TomlKind::boolean;
            return std::string(token);
        }
        return number(token, kind);
    }

    // Underscores between digits are dropped, a plus sign too; the digits stay as they were written.
    std::string number(std::string_view token, TomlKind& kind) {
        std::string digits;
        for (size_t i = 0; i < token.size(); ++i) {
            if (token[i] != '_') {
                digits += token[i];
                continue;
            }
            const auto digit = [&](size_t j) {
                return j < token.size() && kDigits.find(token[j]) != kDigits.npos;
            };
            if (i == 0 || !digit(i - 1) || !digit(i + 1)) refuse_value(token);
        }
        if (digits.front() == '+') digits.erase(0, 1);
        std::string_view body = digits;
        if (body.starts_with('-')) body.remove_prefix(1);

        if (body == "inf" || body == "nan") {
            kind = TomlKind::number;
            return digits;
        }
        const size_t whole = std::min(body.find_first_not_of(kDigits), body.size());
        if (whole == 0 || (whole > 1 && body[0] == '0')) refuse_value(token);
        kind = whole == body.size() ? TomlKind::integer : TomlKind::number;
        std::string_view tail = body.substr(whole);
        if (tail.starts_with('.')) {
            const size_t fraction = std::min(tail.find_first_not_of(kDigits, 1), tail.size());
            if (fraction == 1) refuse_value(token);
            tail.remove_prefix(fraction);
        }
        if (!tail.empty() && (tail[0] == 'e' || tail[0] == 'E')) {
            const size_t sign = tail.size() > 1 && (tail[1] == '+' || tail[1] == '-') ? 2 : 1;
            if (tail.size() == sign || tail.find_first_not_of(kDigits, sign) != tail.npos)
                refuse_value(token);
            tail = {};
        }
        if (!tail.empty()) refuse_value(token);
        return digits;
    }

    [[noreturn]] void refuse_value(std::string_view token) const {
        refuse("`" + printable(token, 40) + "` is no value (strings stand in quotes)");
    }

    std::string string() {
        const char quote = text_[at_];
        if (rest().starts_with(std::string(3, quote)))
            refuse("multi-line strings are not used here");
        ++at_;
        std::string out;
        for (;; ++at_) {
            if (at_ == text_.size() || text_[at_] == '\n' || text_[at_] == '\r')
                refuse("a string has no end on its line");
            const char c = text_[at_];
            if (c == quote) break;
            if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F)
                refuse("a string has a control character; write it as an escape");
            if (c == '\\' && quote == '"') {
                escape(out);
            } else {
                out += c;
            }
        }
        ++at_;
        return out;
    }

    // Leaves at_ on the escape's last character.
    void escape(std::string& out) {
        ++at_;
        static constexpr std::string_view kLetters = "btnfr\"\\", kMeanings = "\b\t\n\f\r\"\\";
        const char c = peek();
        if (const size_t i = kLetters.find(c); i != kLetters.npos) {
            out += kMeanings[i];
            return;
        }
        const size_t length = c == 'u' ? 4 : c == 'U' ? 8 : 0;
        uint32_t code = 0;
        const std::string_view hex = rest().substr(std::min<size_t>(1, rest().size()), length);
        const auto [end, error] = std::from_chars(hex.data(), hex.data() + hex.size(), code, 16);
        const bool whole = length > 0 && hex.size() == length && error == std::errc() &&
                           end == hex.data() + length;
        if (!whole || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
            refuse("a string has an unknown escape");
        append_utf8(out, code);
        at_ += length;
    }

    std::string_view text_;
    const std::string& file_;
    size_t at_ = 0;
    int line_ = 1;
};

}  // namespace

std::vector<TomlEntry> parse_toml(std::string_view text, const std::string& file_name) {
    return Parser(text, file_name).run();
}

std::string toml_string(std::string_view text) {
    static constexpr char kHex[] = "0123456789ABCDEF";
    std::string out = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out += {'\\', c};
        } else if (byte < 0x20 || byte == 0x7F) {
            out += std::string("\\u00") + kHex[byte >> 4] + kHex[byte & 15];
        } else {
            out += c;
        }
    }
    return out + "\"";
}

}  // namespace fp
