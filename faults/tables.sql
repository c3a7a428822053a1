-- A phone system's tables, and the laboratory's rows before they are copied.
CREATE TABLE cdr (
    calldate timestamp, clid varchar(80), src varchar(80), dst varchar(80),
    dcontext varchar(80), channel varchar(80), dstchannel varchar(80),
    lastapp varchar(80), lastdata varchar(200), duration integer, billsec integer,
    disposition varchar(45), amaflags integer, accountcode varchar(20),
    uniqueid varchar(150), linkedid varchar(150), peeraccount varchar(80),
    sequence integer, userfield varchar(255));
CREATE TABLE queue_log (
    id bigserial PRIMARY KEY, "time" varchar(32), callid varchar(80),
    queuename varchar(256), agent varchar(80), event varchar(32), data varchar(255),
    data1 varchar(100), data2 varchar(100), data3 varchar(100), data4 varchar(100),
    data5 varchar(100));
CREATE TABLE lab_cdr (LIKE cdr);
CREATE TABLE lab_queue_log (LIKE queue_log);
