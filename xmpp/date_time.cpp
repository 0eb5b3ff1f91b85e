// SPDX-License-Identifier: MIT
// XEP-0082: XMPP Date and Time Profiles, the DateTime profile (§3.2). Written and read by hand: no locale, no
// time zone database. Leap seconds are refused, since the clock cannot hold them.
#include "xmpp/date_time.h"

#include <cstdint>

namespace xmpp {

namespace {

void append_number(std::string& out, std::int64_t number, int digits) {
    char text[8];
    for (int i = digits - 1; i >= 0; --i, number /= 10) text[i] = static_cast<char>('0' + number % 10);
    out.append(text, static_cast<std::size_t>(digits));
}

// Takes pieces off the front of a text; once something is missing everything after fails, too.
class Reader {
public:
    explicit Reader(std::string_view text) : left_{text} {}

    unsigned number(std::size_t digits) {
        unsigned value = 0;
        for (std::size_t i = 0; i < digits; ++i) {
            if (!next_is_digit()) return fail();
            value = value * 10 + static_cast<unsigned>(left_[0] - '0');
            left_.remove_prefix(1);
        }
        return value;
    }
    void expect(char c) {
        if (!skip(c)) fail();
    }
    bool skip(char c) {
        if (left_.empty() || left_[0] != c) return false;
        left_.remove_prefix(1);
        return true;
    }
    bool next_is_digit() const { return !left_.empty() && left_[0] >= '0' && left_[0] <= '9'; }
    bool ok() const { return ok_; }
    bool at_end() const { return left_.empty(); }

private:
    unsigned fail() {
        ok_ = false;
        left_ = {};
        return 0;
    }
    std::string_view left_;
    bool ok_ = true;
};

// The fraction as microseconds; digits beyond the sixth are cut off.
std::chrono::microseconds read_fraction(Reader& reader) {
    std::int64_t micros = 0;
    if (!reader.next_is_digit()) reader.number(1);  // "." needs a digit behind it
    for (std::int64_t unit = 100'000; reader.next_is_digit(); unit /= 10) micros += reader.number(1) * unit;
    return std::chrono::microseconds{micros};
}

}  // namespace

std::string format_date_time(Time time, bool with_milliseconds) {
    using namespace std::chrono;
    const auto day = floor<days>(time);
    const year_month_day date{day};
    const hh_mm_ss clock{floor<milliseconds>(time - day)};
    std::string out;
    out.reserve(24);
    append_number(out, static_cast<int>(date.year()), 4);
    out += '-';
    append_number(out, static_cast<unsigned>(date.month()), 2);
    out += '-';
    append_number(out, static_cast<unsigned>(date.day()), 2);
    out += 'T';
    append_number(out, clock.hours().count(), 2);
    out += ':';
    append_number(out, clock.minutes().count(), 2);
    out += ':';
    append_number(out, clock.seconds().count(), 2);
    if (with_milliseconds) {
        out += '.';
        append_number(out, clock.subseconds().count(), 3);
    }
    out += 'Z';
    return out;
}

std::optional<Time> parse_date_time(std::string_view text) {
    using namespace std::chrono;
    Reader reader{text};
    const unsigned y = reader.number(4);
    reader.expect('-');
    const unsigned mo = reader.number(2);
    reader.expect('-');
    const unsigned d = reader.number(2);
    reader.expect('T');
    const unsigned h = reader.number(2);
    reader.expect(':');
    const unsigned mi = reader.number(2);
    reader.expect(':');
    const unsigned s = reader.number(2);
    const microseconds fraction = reader.skip('.') ? read_fraction(reader) : microseconds{0};
    minutes offset{0};
    if (!reader.skip('Z')) {
        const bool west = reader.skip('-');
        if (!west) reader.expect('+');
        const unsigned offset_hours = reader.number(2);
        reader.expect(':');
        const unsigned offset_minutes = reader.number(2);
        if (offset_hours > 14 || offset_minutes > 59) return std::nullopt;  // as XML Schema has it
        offset = hours{offset_hours} + minutes{offset_minutes};
        if (west) offset = -offset;
    }
    const year_month_day date{year{static_cast<int>(y)}, month{mo}, day{d}};
    if (!reader.ok() || !reader.at_end() || !date.ok() || h > 23 || mi > 59 || s > 59) return std::nullopt;
    return Time{sys_days{date}} + hours{h} + minutes{mi} + seconds{s} + fraction - offset;
}

}  // namespace xmpp
