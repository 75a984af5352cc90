// Schedules in words, where they are simple; their own text where they aren't.

/** `every 5 minutes`, `every day at 09:30`, `every Monday at 08:00`; a schedule that is none of these as it is. */
export function cronWords(text: string): string {
  const [zone, schedule] = text.startsWith("TZ=") ? [text.slice(3).split(" ")[0], text.slice(text.indexOf(" ") + 1)] : ["", text];
  const words = simple(schedule.trim());
  return words ? `${words}${zone ? ` (${zone})` : ""}` : text;
}

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

function simple(schedule: string): string | undefined {
  const [minute, hour, date, month, weekday, more] = schedule.split(/\s+/);
  if (more !== undefined || !minute || !hour || !weekday || date !== "*" || month !== "*") return undefined;
  const step = /^\*\/(\d+)$/.exec(minute);
  if (weekday === "*" && hour === "*") {
    if (minute === "*") return "every minute";
    if (step) return `every ${step[1]} minutes`;
    if (/^\d+$/.test(minute)) return minute === "0" ? "every hour" : `every hour at :${minute.padStart(2, "0")}`;
  }
  if (!/^\d+$/.test(minute) || !/^\d+$/.test(hour)) return undefined;
  const at = `at ${hour.padStart(2, "0")}:${minute.padStart(2, "0")}`;
  if (weekday === "*") return `every day ${at}`;
  return /^[0-7]$/.test(weekday) ? `every ${DAYS[Number(weekday)]} ${at}` : undefined;
}
