// What the page says, Vietnamese and English side by side. Names of states and events come from /v1/words.
const WORDS = {
  title: ["Sổ cái hồ sơ một cửa", "Ledger of one-stop dossiers"],
  subtitle: ["Bảng điều hành", "Board"],
  skip: ["Đến nội dung chính", "Skip to the content"],
  search: ["Xem dòng thời gian", "Show timeline"],
  search_label: ["Mã hồ sơ", "Dossier"],
  back: ["← Bảng điều hành", "← Board"],
  connecting: ["Đang kết nối", "Connecting"],
  live: ["Trực tiếp", "Live"],
  lost: ["Mất kết nối, đang thử lại", "Connection lost, trying again"],
  fresh: ["cập nhật đến {time}, chậm {lag} sự kiện", "up to {time}, {lag} events behind"],
  simulated: ["giờ giả lập {time}, nhanh gấp {n}", "simulated time {time}, {n} times as fast"],
  fresh_none: ["chưa có sự kiện nào", "no events yet"],
  lag_unknown: ["không rõ mấy", "an unknown number of"],
  dossiers: ["Hồ sơ", "Dossiers"],
  open: ["Chưa kết thúc", "Not ended"],
  ended: ["Đã kết thúc", "Ended"],
  late: ["Trả quá hạn", "Finished late"],
  overdue: ["Đang quá hạn", "Overdue now"],
  soon: ["Sắp đến hạn", "Due soon"],
  breaches: ["Đang quá hạn", "Overdue now"],
  how_late: ["Quá", "How late"],
  clock: ["Thời hạn", "Clock"],
  no_breaches: ["Không có hồ sơ nào quá hạn.", "Nothing is overdue."],
  more_breaches: ["và {n} thời hạn khác", "and {n} more"],
  deadline: ["Vì sao hạn như vậy", "Why it is due then"],
  ahead: [
    "hồ sơ xong sau giờ của đồng hồ ({time}): giải thích đến lúc xong",
    "it is done ahead of the clock ({time}): explained up to then",
  ],
  from_now: ["từ lúc này {words}", "from this instant {words}"],
  days: ["Ngày", "Days"],
  counted: ["Tính", "Counted"],
  why: ["Lý do", "Why"],
  past_due: ["quá hạn, không có gì xảy ra", "past the due, nothing happened"],
  caused_by: ["Do sự kiện", "Caused by"],
  yes: ["có", "yes"],
  no: ["không", "no"],
  quarantined: ["Bản ghi cách ly", "Records in quarantine"],
  offices: ["Theo cơ quan và trạng thái", "By office and state"],
  office: ["Cơ quan", "Office"],
  total: ["Cộng", "Total"],
  timeliness: ["So với ngày hẹn trả", "Against the promised date"],
  share: ["Tỷ lệ", "Share"],
  queues: ["Hàng đợi", "Queues"],
  room: ["Phòng", "Room"],
  step: ["Bước", "Step"],
  no_room: ["chưa rõ phòng", "no room named"],
  waiting: ["Đang chờ", "Waiting"],
  more_queues: ["và {n} hàng đợi khác", "and {n} more queues"],
  no_queues: ["Không có hồ sơ nào chờ.", "No dossier is waiting."],
  months: ["Tiếp nhận theo tháng", "Received by month"],
  month: ["Tháng", "Month"],
  received: ["Tiếp nhận", "Received"],
  nothing: ["Chưa có hồ sơ nào.", "No dossiers yet."],
  state: ["Trạng thái", "State"],
  dossier: ["Hồ sơ", "Dossier"],
  list_title: ["Hồ sơ mới thay đổi", "Dossiers that changed last"],
  list_more: ["Còn nữa: chỉ hiện {n} hồ sơ mới thay đổi nhất.", "There are more: the {n} that changed last are shown."],
  loading: ["Đang tải…", "Loading…"],
  not_found: ["Không có hồ sơ “{id}”.", "There is no dossier “{id}”."],
  failed: ["Không tải được: {why}", "Could not be loaded: {why}"],
  no_archive: [
    "Chưa xem được diễn biến: kho lưu chưa trả lời, hoặc chưa ghi được việc tra cứu; trạng thái hiện tại ở trên vẫn đúng.",
    "The timeline cannot be shown now: the archive does not answer, or the read cannot be put on record; the present state above still holds.",
  ],
  archive_behind: [
    "Kho lưu chưa có sự kiện nào của hồ sơ này.",
    "The archive has no events of this dossier yet.",
  ],
  timeline: ["Dòng thời gian", "Timeline"],
  events_shown: ["{n} sự kiện, theo thứ tự xảy ra", "{n} events, in the order in which they happened"],
  events_cut: ["{n} trong {total} sự kiện đầu", "the first {n} of {total} events"],
  in_zone: ["giờ {zone}", "times in {zone}"],
  recorded: ["ghi sổ {time}", "recorded {time}"],
  effective: ["tính từ {time} (đính chính)", "counts from {time} (corrected)"],
  position: ["vị trí {p}", "position {p}"],
  actor: ["người thực hiện", "actor"],
  voided: ["Đã hủy ghi nhận", "Voided"],
  corrected: ["Đã đính chính", "Corrected"],
  repeats: ["gửi lại {n} lần", "sent again {n} times"],
  state_after: ["Trạng thái sau đó", "State after it"],
  holder: ["Người giữ", "Holder"],
  last_holder: ["Người giữ cuối", "Last holder"],
  handed_to: ["Đang bàn giao cho", "Being handed to"],
  procedure: ["Thủ tục", "Procedure"],
  channel: ["Kênh", "Channel"],
  received_at: ["Tiếp nhận", "Received"],
  promised: ["Hẹn trả", "Promised"],
  due: ["Hẹn trả hiện hành", "Due now"],
  processed_at: ["Có kết quả", "Result"],
  ended_at: ["Kết thúc", "Ended"],
  finish: ["So với ngày hẹn", "Against the promise"],
  unknown: ["không rõ", "not known"],
  anomalies: ["Bất thường", "Anomalies"],
  direct: ["Trực tiếp", "At the counter"],
  online: ["Trực tuyến", "Online"],
  post: ["Bưu chính", "By post"],
  zalo: ["Zalo qua bưu điện", "Zalo through the post"],
  ministry: ["Phần mềm của Bộ", "Ministry software"],
  other: ["Khác", "Other"],
};

const STORED = "dossier.language";
const LOCALES = { vi: "vi-VN", en: "en-GB" };
export const VIETNAM = "Asia/Ho_Chi_Minh";

export let language = localStorage.getItem(STORED) === "en" ? "en" : "vi";

export function setLanguage(chosen) {
  language = chosen;
  localStorage.setItem(STORED, chosen);
}

/** The words for `key`, with {name} filled in. */
export function say(key, values = {}) {
  const [vi, en] = WORDS[key];
  return (language === "vi" ? vi : en).replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** One of a name's two languages: {vi, en} as the API gives it. */
export const nameIn = (name) => name?.[language] ?? "";

export const number = (value) => new Intl.NumberFormat(LOCALES[language]).format(value);

/** Of all but one no share is all of them, and of one none is nothing: what would be rounded so stays a tenth off. */
export function percent(part, whole) {
  if (!whole) return "–";
  const share = part === whole || !part ? part / whole : Math.min(Math.max(part / whole, 0.001), 0.999);
  return new Intl.NumberFormat(LOCALES[language], { style: "percent", maximumFractionDigits: 1 }).format(share);
}

/** dd/MM/yyyy HH:mm(:ss) in the office's zone, in both languages. */
export function time(instant, zone = VIETNAM, seconds = false) {
  if (!instant) return "";
  const parts = Object.fromEntries(
    formatter(zone).formatToParts(new Date(instant)).map(({ type, value }) => [type, value]),
  );
  const clock = `${parts.hour}:${parts.minute}` + (seconds ? `:${parts.second}` : "");
  return `${parts.day}/${parts.month}/${parts.year} ${clock}`;
}

const formatters = new Map();
function formatter(zone) {
  if (!formatters.has(zone)) {
    const two = "2-digit";
    const shape = { year: "numeric", month: two, day: two, hour: two, minute: two, second: two, hourCycle: "h23" };
    let made;
    try {
      made = new Intl.DateTimeFormat("en-GB", { ...shape, timeZone: zone });
    } catch {
      made = new Intl.DateTimeFormat("en-GB", { ...shape, timeZone: VIETNAM }); // a zone this browser does not know
    }
    formatters.set(zone, made);
  }
  return formatters.get(zone);
}
