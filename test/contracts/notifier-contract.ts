// The contract of the notifier, for the adapters on AWS and on this machine.
import { expect, test, vi } from "vitest";
import type { Notify } from "../../shared/ports.ts";

export type Notifier = {
  notify: Notify;
  /** Returns the text of all messages that were received. */
  received(): Promise<string>;
};

export function notifierContract(adapter: string, notifier: () => Notifier): void {
  test(`the notifier on ${adapter} delivers each message with its subject and body`, async () => {
    const { notify, received } = notifier();
    const messages = [1, 2, 3].map((n) => ({
      subject: `LibInsight: run ${n} was published`,
      body: `Run ${n}: "Où?" \u{1F4DA}\nSecond line of ${n}`,
    }));
    await Promise.all(messages.map(notify));
    await vi.waitFor(
      async () => {
        const text = await received();
        for (const { subject, body } of messages) {
          expect(text).toContain(subject);
          expect(text).toContain(body);
        }
      },
      { timeout: 10_000 },
    );
  });
}
