// How S3 says no. https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
import { escapeXml } from "./xml.ts";

/** An answer that the SDK raises as an error named `code`. */
export class S3Error extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.name = "S3Error";
    this.status = status;
    this.code = code;
  }

  toXml(requestId: string): string {
    return (
      '<?xml version="1.0" encoding="UTF-8"?>' +
      `<Error><Code>${this.code}</Code><Message>${escapeXml(this.message)}</Message>` +
      `<RequestId>${requestId}</RequestId></Error>`
    );
  }
}
