// SPDX-License-Identifier: MIT
// The table of error numbers, after the servers' own documentation (mysqld_error.h, errmsg.h).
#include "storage/mysql/errors.h"

namespace storage::mysql {

using Kind = sql::Error::Kind;

bool is_lost(int code) {
    switch (code) {
        case 1053:  // server shutdown in progress
        case 1152:
        case 1156:
        case 1157:
        case 1158:
        case 1159:
        case 1160:
        case 1161:
        case 1184:  // broken off on the way
        case 1243:  // the server does not know a statement that we have prepared
        case 1461:  // too many prepared statements
        case 1615:  // prepare again
        case 1927:  // connection was killed
        case 2006:
        case 2012:
        case 2013:
        case 2014:
        case 2027:
        case 2030:
        case 2055: return true;
        default: return false;
    }
}

namespace {

Kind kind_of(int code, std::string_view text) {
    if (is_lost(code)) return Kind::lost;
    switch (code) {
        case 1040:
        case 1041:
        case 1043:
        case 1044:
        case 1045:
        case 1049:
        case 1129:
        case 1130:
        case 1203:
        case 1226:
        case 1698:
        case 2002:
        case 2003:
        case 2005:
        case 2026: return Kind::unreachable;
        case 1047:  // a node that has left its cluster (Galera)
        case 1223:
        case 1290:
        case 1792:
        case 1836: return Kind::unreachable;  // can only be read
        case 1020:
        case 1180:  // a COMMIT that failed: another node of the cluster was first
        case 1205:
        case 1213:
        case 1317:
        case 3100:
        case 3101: return Kind::busy;  // group replication took the transaction back
        case 1969:
        case 3024: return Kind::slow;
        case 1021:
        case 1114: return Kind::full;
        case 3:
        case 1026:
        case 1030:  // writing failed, with errno or InnoDB's number in the text
            return text.find("28") != std::string_view::npos ||
                           text.find("No space") != std::string_view::npos
                       ? Kind::full
                       : Kind::broken;
        case 1060:  // a column, an index, a row
        case 1061:
        case 1062:
        case 1586: return Kind::duplicate;
        case 1216:
        case 1452: return Kind::missing;
        case 1048:
        case 1153:
        case 1264:
        case 1292:
        case 1366:
        case 1406:
        case 3988: return Kind::unfit;
        default: return Kind::broken;
    }
}

// Such as "Duplicate entry '…' for key …" or "Incorrect string value: '…' for column …".
bool may_hold_values(Kind kind, int code) {
    return kind == Kind::duplicate || kind == Kind::unfit || kind == Kind::missing ||
           (kind == Kind::broken && code != 1146);
}

}  // namespace

sql::Error error_of(int code, const std::string& state, std::string_view text, std::string_view doing) {
    const Kind kind = kind_of(code, text);
    std::string message = "MySQL " + std::to_string(code) + " " + state;
    if (!may_hold_values(kind, code)) message += ": " + std::string{text};
    message += " (" + std::string{doing.substr(0, 60)} + ")";
    return {kind, std::move(message)};
}

}  // namespace storage::mysql
