// What an app's error means, and how to mend it.

export interface Mend {
  what: string;
  next: string;
}

const KNOWN: [RegExp, Mend][] = [
  [
    /^unreachable$/i,
    {
      what: "Nothing answers at this address",
      next: "Start the app, or correct the address. In a container, localhost is the container itself: use the app's service name or host.docker.internal.",
    },
  ],
  [/no functions registered/i, { what: "The app serves no functions", next: "Pass your functions to serve(…), then save: the app is asked again by itself." }],
  [/sdk_version_denied/i, { what: "This version of the SDK has a known defect", next: "Upgrade the SDK, then start the app again." }],
  [
    /sign|key|auth/i,
    {
      what: "The app's signing key is not this server's",
      next: "Set INNGEST_SIGNING_KEY of the app to the key that this server was started with.",
    },
  ],
  [/connection refused|refused/i, { what: "Nothing listens at this address", next: "Start the app, or correct its port." }],
];

/** Return what an error of an app means and what to do; the error itself if it is none of the known ones. */
export function mendOf(error: string): Mend {
  const known = KNOWN.find(([pattern]) => pattern.test(error.trim()));
  return known ? known[1] : { what: error, next: "Mend this in the app's code; it is asked again when it changes." };
}
